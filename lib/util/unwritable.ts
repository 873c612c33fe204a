import { TorchSearchError } from "../errors";

/** The error of a file that can't be written: `what` is its name, with a noun before it. */
export function unwritableFile(what: string, error: unknown, code = "ERR_FILE_WRITE"): TorchSearchError {
  const reason = error instanceof Error ? error.message : String(error);
  return new TorchSearchError(
    code,
    `${what} can't be written: ${reason}. Name a file in a folder that can be written.`,
    { cause: error },
  );
}
