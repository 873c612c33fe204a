import { TorchSearchError } from "../errors";
import { abortError, isAbort } from "../util/abort";

/**
 * The error of a user's function under our code, with the thrown value as its cause. Errors that have a code already
 * come through as they are; whatever is thrown after an abort counts as the abort.
 */
export function wrapFailure(
  error: unknown,
  signal: AbortSignal | null | undefined,
  code: string,
  name: string,
): TorchSearchError {
  if (signal?.aborted && !isAbort(error)) return abortError(signal);
  if (error instanceof TorchSearchError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new TorchSearchError(code, `${name} failed: ${reason}`, { cause: error });
}
