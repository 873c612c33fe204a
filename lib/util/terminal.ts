/**
 * Whether standard error is a terminal on which lines can be redrawn: not a file or pipe, not a dumb terminal, and not
 * the log of a build server (`CI` set to anything but `false` and `0`), which would keep every state of a line.
 * `NO_COLOR` and `FORCE_COLOR` don't matter, because nothing is printed in colour.
 */
export function canDrawLive(stream: { isTTY?: boolean } = process.stderr, env = process.env): boolean {
  const server = env.CI !== undefined && !["", "0", "false"].includes(env.CI);
  return stream.isTTY === true && env.TERM !== "dumb" && !server;
}

/** Control characters but tabs and ends of lines (`\p{Cc}`), and those that turn the direction of writing. */
const COMMANDS = /(?![\t\n])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A text with nothing in it that commands a terminal: names in files from strangers may hold such characters. They are
 * shown as their codes.
 */
export function printable(text: string): string {
  return text.replace(
    COMMANDS,
    (character) => `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, "0")}`,
  );
}
