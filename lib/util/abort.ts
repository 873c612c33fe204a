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

/**
 * The result of a promise, or `ERR_ABORTED` as soon as the signal is aborted. What the promise stands for may then go
 * on, unheard.
 */
export async function orAborted<T>(
  promise: PromiseLike<T> | T,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (!signal) return promise;
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(abortError(signal));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** How long a user's function that was told to stop may take to end by itself. */
const PATIENCE_MS = 50;

/**
 * Waits for what a user's function returned. After an abort it may still end by itself, so that its own cleaning up
 * comes first; one that ignores the signal, or never ends, is left to itself after a moment, with `ERR_ABORTED`.
 */
export async function orAbandoned<T>(
  promise: PromiseLike<T> | T,
  signal: AbortSignal | null | undefined,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  if (!signal) return promise;
  const overdue = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const abort = (): void => {
    timer = setTimeout(() => overdue.abort(signal.reason), patienceMs);
  };
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  try {
    return await orAborted(promise, overdue.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
