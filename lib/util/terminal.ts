/**
 * Whether standard error is a terminal that lines can be redrawn on: not a file or pipe, not a dumb terminal, and not the
 * log of a build server (`CI` set to anything but `false` and `0`), which would keep every state of a line. `NO_COLOR` and
 * `FORCE_COLOR` need no rule: nothing that is printed has colours.
 */
export function canDrawLive(stream: { isTTY?: boolean } = process.stderr, env = process.env): boolean {
  const server = env.CI !== undefined && !["", "0", "false"].includes(env.CI);
  return stream.isTTY === true && env.TERM !== "dumb" && !server;
}
