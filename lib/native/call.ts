import { abortError, isAbort, orAborted, throwIfAborted } from "../util/abort";
import { expected } from "../util/check";
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

/** How long an aborted call may go on before others are told that they can't wait for it. */
const GRACE_MS = 30_000;

/** How long a caller whose signal was aborted waits. */
export interface CallPatience {
  /** Milliseconds until the call is left to itself. */
  graceMs?: number;
  /** Whether the result of what was done until the abort is waited for, for at most `graceMs`. */
  toTheEnd?: boolean;
}

/**
 * Makes one asynchronous native call that an `AbortSignal` can stop. An aborted signal rejects with `ERR_ABORTED` at
 * once. The native side stops at its next check, within one batch; later calls wait for that. What still runs after
 * `graceMs` (a model that never ends) is left to itself: calls that wait for it, and later ones, reject with `ERR_BUSY`
 * until it ends.
 */
export async function callNative<T>(
  run: (call: NativeCall) => Promise<T>,
  signal?: AbortSignal | null,
  onProgress?: (event: NativeProgress) => void,
  { graceMs = GRACE_MS, toTheEnd = false }: CallPatience = {},
): Promise<T> {
  if (signal && !(signal instanceof AbortSignal))
    throw expected("ERR_ARGUMENT", "an AbortSignal", "signal", signal);
  throwIfAborted(signal);
  const loading = whenLoaded();
  if (loading !== undefined) {
    await orAborted(loading, signal);
  }
  if (!signal) return run({ onProgress });
  const cancel = new (addon().CancelToken)();
  let grace: NodeJS.Timeout | undefined;
  const overdue = new AbortController();
  const giveUp = (): void => {
    addon().giveUp();
    overdue.abort(signal.reason);
  };
  const abort = (): void => {
    cancel.cancel();
    if (graceMs === 0) giveUp();
    else grace = setTimeout(giveUp, graceMs);
  };
  const report = onProgress && ((event: NativeProgress) => signal.aborted || onProgress(event));
  const running = run({ cancel, onProgress: report as NativeCall["onProgress"] });
  signal.addEventListener("abort", abort, { once: true });
  const end = (): void => {
    clearTimeout(grace);
    signal.removeEventListener("abort", abort);
  };
  running.then(end, end);
  try {
    return await orAborted(running, toTheEnd ? overdue.signal : signal);
  } catch (error) {
    // The signal's own error carries its reason.
    throw isAbort(error) && signal.aborted ? abortError(signal) : error;
  }
}
