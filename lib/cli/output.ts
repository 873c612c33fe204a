import { CommanderError } from "commander";

import { TorchSearchError } from "../errors";
import { Interrupted } from "./interrupt";

/** Prints the one JSON document that `--json` promises on standard output. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Says a line on standard error: what is going on, never a result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Errors that mean the command was written wrongly; its exit code is then 2. */
const USAGE = new Set(["ERR_CLI_OPTION", "ERR_INPUT_SPEC"]);

/**
 * Ends a command that failed: the error on standard error (and, with `--json`, as `{ "error": { code, message } }` on
 * standard output). Exit codes: 1 when the work failed, 2 when the command was written wrongly, 130 or 143 when a
 * signal stopped it. An error that is none of ours is a bug and keeps its stack.
 */
export function reportFailure(error: unknown): void {
  const json = process.argv.includes("--json");
  if (error instanceof CommanderError) {
    // Commander has written its message, or the help that was asked for.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    if (json && error.exitCode !== 0)
      printJson({ error: { code: "ERR_CLI_OPTION", message: error.message.replace(/^error: /, "") } });
    return;
  }
  if (error instanceof Interrupted) {
    if (json) printJson({ error: { code: error.code, message: error.message, resume: error.resume } });
    say(`torchsearch: ${error.message}`);
    process.exitCode = error.exitCode;
    return;
  }
  const code = error instanceof TorchSearchError ? error.code : "ERR_UNEXPECTED";
  const message = error instanceof Error ? error.message : String(error);
  if (json) printJson({ error: { code, message } });
  const stack = error instanceof Error && code === "ERR_UNEXPECTED" ? `\n${error.stack}` : "";
  say(`torchsearch: ${code}: ${message}${stack}`);
  process.exitCode = USAGE.has(code) ? 2 : 1;
}
