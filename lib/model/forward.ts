import { callNative } from "../native/call";
import { whenLoaded } from "../native/load";
import type { NativeForwardable } from "../native/types/module";
import { isRecord } from "../util/check";
import type { CallOptions, Output } from "./types";
import { fromNative, toNative } from "./values";

/** Runs a native model on positional and keyword arguments. */
export async function forwardNative(
  native: NativeForwardable,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  { signal }: CallOptions,
): Promise<Output> {
  const nativeArgs = toNative(args) as unknown[];
  const nativeKwargs = isEmpty(kwargs) ? null : (toNative(kwargs) as Record<string, unknown>);
  // A small model takes less time than what can be left out here.
  const plain = !signal && whenLoaded() === undefined;
  const output = plain
    ? await native.forward(nativeArgs, nativeKwargs)
    : await callNative((call) => native.forward(nativeArgs, nativeKwargs, call), signal);
  return fromNative(output) as Output;
}

function isEmpty(kwargs: unknown): boolean {
  if (!isRecord(kwargs)) return false; // which the native side refuses
  for (const key in kwargs) if (Object.hasOwn(kwargs, key)) return false;
  return true;
}
