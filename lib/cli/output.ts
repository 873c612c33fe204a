import { CommanderError } from "commander";

import { TorchSearchError } from "../errors";
import { requireWritable } from "../util/atomic-file";
import { printable } from "../util/terminal";
import { unwritableFile } from "../util/unwritable";
import { Interrupted } from "./interrupt";

/** Prints the one JSON document of `--json` on standard output. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Prints a result for people on standard output. */
export function print(text: string): void {
  process.stdout.write(printable(text));
}

/** Prints a line on standard error: progress, never a result. */
export function say(line: string): void {
  process.stderr.write(`${printable(line)}\n`);
}

/**
 * Handles broken output streams. A standard output that is closed (`| head -1`) ends the command without an error; one
 * that can't be written, such as on a full disk, ends it with a message. A closed standard error is ignored.
 */
export function watchStreams(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
    say(`torchsearch: ERR_FILE_WRITE: standard output can't be written: ${error.message}.`);
    process.exit(1);
  });
}

/** Refuses an output that can't be written, before the work begins. @throws `ERR_FILE_WRITE` */
export async function requireOutput(file: string): Promise<void> {
  try {
    await requireWritable(file);
  } catch (error) {
    throw unwritableFile(`The output ${file}`, error);
  }
}

/** Errors of a wrong command, which end it with exit code 2. */
const USAGE = new Set([
  "ERR_CLI_OPTION",
  "ERR_INPUT_SPEC",
  "ERR_CONFIG_VALUE",
  "ERR_UNKNOWN_CONFIG_KEY",
  "ERR_CONSTRAINT_VALUE",
  "ERR_UNKNOWN_CONSTRAINT",
  "ERR_PROFILE_OPTION",
]);

/**
 * Ends a command that failed: prints the error on standard error, and with `--json` as `{ "error": { code, message } }`
 * on standard output. Exit codes: 1 when the work failed, 2 for a wrong command, 130 or 143 when a signal stopped it. An
 * error without a code of ours is a bug, and is printed with its stack.
 */
export function reportFailure(error: unknown): void {
  const json = process.argv.includes("--json");
  if (error instanceof CommanderError) {
    // Commander has printed its message or the help.
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

/** Prints each line only once. */
export function once(say: (line: string) => void): (line: string) => void {
  const said = new Set<string>();
  return (line) => {
    if (!said.has(line)) say(line);
    said.add(line);
  };
}
