/**
 * Whether standard error is a terminal on which lines can be redrawn: not a file or pipe, not a dumb terminal, and not
 * the log of a build server (`CI` set to anything but `false` and `0`), which would keep every state of a line.
 * `NO_COLOR` and `FORCE_COLOR` don't matter, because nothing is printed in colour.
 */
export function canDrawLive(stream: { isTTY?: boolean } = process.stderr, env = process.env): boolean {
  const server = env.CI !== undefined && !["", "0", "false"].includes(env.CI);
  return stream.isTTY === true && env.TERM !== "dumb" && !server;
}
