import { TorchSearchError } from "../errors";

/** Throws `ERR_ABORTED` when the signal has been aborted; its reason becomes the error's cause. */
export function throwIfAborted(signal: AbortSignal | null | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** The error of an aborted call. */
export function abortError(signal: AbortSignal): TorchSearchError {
  return new TorchSearchError("ERR_ABORTED", "The call was aborted by its signal.", { cause: signal.reason });
}

/** Whether an error is that of an aborted call. */
export function isAbort(error: unknown): boolean {
  return error instanceof TorchSearchError && error.code === "ERR_ABORTED";
}
