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

/** How long an aborted call may take to end: it stops at its next check, within one batch. */
const GRACE_MS = 30_000;

/**
 * Makes one asynchronous native call that an `AbortSignal` can stop. An aborted signal rejects with `ERR_ABORTED`:
 * at once when the call has not started, else as soon as the native side reaches its next check, and after
 * `graceMs` in any case. What then still runs (a model that never ends) is left to itself; calls that wait for it, and
 * later ones, reject with `ERR_BUSY` until it ends.
 */
export async function callNative<T>(
  run: (call: NativeCall) => Promise<T>,
  signal?: AbortSignal | null,
  onProgress?: (event: NativeProgress) => void,
  graceMs = GRACE_MS,
): Promise<T> {
  throwIfAborted(signal);
  const loading = whenLoaded();
  if (loading !== undefined) {
    await loading;
    throwIfAborted(signal);
  }
  if (!signal) return run({ onProgress });
  const cancel = new (addon().CancelToken)();
  let abort = (): void => undefined;
  let grace: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, reject) => {
    abort = () => {
      cancel.cancel();
      grace = setTimeout(() => {
        addon().giveUp();
        reject(abortError(signal));
      }, graceMs);
    };
  });
  overdue.catch(() => undefined);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([run({ cancel, onProgress }), overdue]);
  } catch (error) {
    // The signal's own error carries its reason.
    throw isAbort(error) && signal.aborted ? abortError(signal) : error;
  } finally {
    clearTimeout(grace);
    signal.removeEventListener("abort", abort);
  }
}
