/** Commands as text that can be pasted into a shell. */
import path from "node:path";

/** One word of a command line, quoted where a POSIX shell needs it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** How this process was started: `torchsearch`, or `node` and the script where it was not by that name. */
export function program(): string {
  const script = process.argv[1] ?? "torchsearch";
  return path.basename(script) === "main.js"
    ? `node ${quoted(path.relative(process.cwd(), script) || script)}`
    : "torchsearch";
}

/** A command of this program. */
export function commandLine(args: readonly string[], name = program()): string {
  return [name, ...args.map(quoted)].join(" ");
}
