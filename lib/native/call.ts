import { abortError, isAbort, throwIfAborted } from "../util/abort";
import { addon } from "./addon";
import { whenLoaded } from "./load";
import type { NativeCall, NativeProgress } from "./types/call";

/** How a caller stops a native call and follows it. */
export interface CallControl {
  /** Rejects the call with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives how far the call is. */
  onProgress?: (event: NativeProgress) => void;
}

/**
 * Makes one asynchronous native call that an `AbortSignal` can stop. An aborted signal rejects with `ERR_ABORTED`:
 * at once when the call has not started, else as soon as the native side reaches its next check.
 */
export async function callNative<T>(
  run: (call: NativeCall) => Promise<T>,
  signal?: AbortSignal | null,
  onProgress?: (event: NativeProgress) => void,
): Promise<T> {
  throwIfAborted(signal);
  const loading = whenLoaded();
  if (loading !== undefined) {
    await loading;
    throwIfAborted(signal);
  }
  if (!signal) return run({ onProgress });
  const cancel = new (addon().CancelToken)();
  const abort = () => cancel.cancel();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await run({ cancel, onProgress });
  } catch (error) {
    // The signal's own error carries its reason.
    throw isAbort(error) && signal.aborted ? abortError(signal) : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
