import path from "node:path";

import { shellCommand, shellWord } from "../util/shell";

/** How this process was started: `torchsearch`, or `node` and the script where it was not by that name. */
function program(): string {
  const script = process.argv[1] ?? "torchsearch";
  return path.basename(script) === "main.js"
    ? `node ${shellWord(path.relative(process.cwd(), script) || script)}`
    : "torchsearch";
}

/** A command of this program, to be pasted into a shell. */
export function commandLine(args: readonly string[]): string {
  return shellCommand(program(), args);
}
