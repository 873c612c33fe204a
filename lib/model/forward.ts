import { TorchSearchError } from "../errors";
import { callNative } from "../native/call";
import { whenLoaded } from "../native/load";
import type { NativeCall } from "../native/types/call";
import type { NativeForwardable } from "../native/types/module";
import { isAbort } from "../util/abort";
import { isRecord, requireOptions } from "../util/check";
import type { CallOptions, Output } from "./types";
import { fromNative, toNative } from "./values";

/** Runs a native model on positional and keyword arguments. */
export async function forwardNative(
  native: NativeForwardable,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: CallOptions,
  timeoutMs: number | null = null,
): Promise<Output> {
  requireOptions(options, "forwardWith");
  const { signal } = options;
  const nativeArgs = toNative(args) as unknown[];
  const nativeKwargs = isEmpty(kwargs) ? null : (toNative(kwargs) as Record<string, unknown>);
  // A small model takes less time than what can be left out here.
  const plain = !signal && timeoutMs === null && whenLoaded() === undefined;
  if (plain) return fromNative(await native.forward(nativeArgs, nativeKwargs)) as Output;
  if (timeoutMs === null) {
    const output = await callNative((call) => native.forward(nativeArgs, nativeKwargs, call), signal);
    return fromNative(output) as Output;
  }
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
  try {
    const run = (call: NativeCall) => native.forward(nativeArgs, nativeKwargs, call);
    return fromNative(await callNative(run, either, undefined, { graceMs: 0 })) as Output;
  } catch (error) {
    if (!isAbort(error) || !timeout.aborted || signal?.aborted) throw error;
    throw new TorchSearchError(
      "ERR_TIMEOUT",
      `The forward took longer than timeoutMs (${timeoutMs} ms); it was stopped, or is left to itself where it doesn't stop.`,
    );
  }
}

function isEmpty(kwargs: unknown): boolean {
  if (!isRecord(kwargs)) return false; // which the native side refuses
  for (const key in kwargs) if (Object.hasOwn(kwargs, key)) return false;
  return true;
}
