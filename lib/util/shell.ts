/** Command lines as text that can be pasted into a shell. */

/** One word of a command line, quoted where a POSIX shell needs it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A whole command line. `program` is not quoted. */
export function shellCommand(program: string, args: readonly string[]): string {
  return [program, ...args.map(shellWord)].join(" ");
}
