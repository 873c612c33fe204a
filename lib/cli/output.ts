import { TorchSearchError } from "../errors";

/** Prints the one JSON document that `--json` promises on standard output. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/**
 * Ends a command that failed: the error on standard error (and, with `--json`, as `{ "error": { code, message } }` on
 * standard output), exit code 1. An error that is none of ours is a bug and keeps its stack.
 */
export function reportFailure(error: unknown): void {
  const code = error instanceof TorchSearchError ? error.code : "ERR_UNEXPECTED";
  const message = error instanceof Error ? error.message : String(error);
  if (process.argv.includes("--json")) printJson({ error: { code, message } });
  const stack = error instanceof Error && code === "ERR_UNEXPECTED" ? `\n${error.stack}` : "";
  process.stderr.write(`torchsearch: ${code}: ${message}${stack}\n`);
  process.exitCode = 1;
}

/** A whole number given as an option. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new TorchSearchError("ERR_CLI_OPTION", `"${text}" is no whole number.`);
  }
  return value;
}
