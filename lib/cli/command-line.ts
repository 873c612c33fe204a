import path from "node:path";

import { shellCommand, shellWord } from "../util/shell";

/** The program that was started: `torchsearch`, or `node` with the script. */
function program(): string {
  const script = process.argv[1] ?? "torchsearch";
  return path.basename(script) === "main.js"
    ? `node ${shellWord(path.relative(process.cwd(), script) || script)}`
    : "torchsearch";
}

/** A command of this program, ready to paste into a shell. */
export function commandLine(args: readonly string[]): string {
  return shellCommand(program(), args);
}
