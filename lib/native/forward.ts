import type { CallOptions, Output } from "../module";
import type { NativeForwardable } from "./addon";
import { callNative } from "./call";
import { fromNative, toNative } from "./values";

/** Runs a native model on positional and keyword arguments. */
export async function forwardNative(
  native: NativeForwardable,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  { signal }: CallOptions,
): Promise<Output> {
  const nativeArgs = toNative(args) as unknown[];
  const nativeKwargs = toNative(kwargs) as Record<string, unknown>;
  return fromNative(
    await callNative((call) => native.forward(nativeArgs, nativeKwargs, call), signal),
  ) as Output;
}
