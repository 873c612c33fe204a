/** Values on their way in and out of models: tensors are wrapped and unwrapped, at any depth of nesting. */
import { TorchSearchError } from "../errors";
import { isNativeTensor } from "../native/tensor";
import { isRecord } from "../util/check";
import { Tensor } from "./tensor";

const MAX_DEPTH = 64;

/** Replaces every `Tensor` inside by its native handle. */
export function toNative(value: unknown): unknown {
  return unwrap(value, 0);
}

/** Replaces every native tensor inside by a `Tensor`. */
export function fromNative(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (isNativeTensor(value)) return Tensor.wrap(value);
  return Array.isArray(value)
    ? value.map(fromNative)
    : mapValues(value as Record<string, unknown>, fromNative);
}

function unwrap(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH)
    throw new TorchSearchError("ERR_INPUT", "An input is nested too deeply, or contains itself.");
  if (value instanceof Tensor) return value.native;
  if (Array.isArray(value)) return value.map((item) => unwrap(item, depth + 1));
  return isRecord(value) ? mapValues(value, (item) => unwrap(item, depth + 1)) : value;
}

function mapValues(
  record: Record<string, unknown>,
  map: (value: unknown) => unknown,
): Record<string, unknown> {
  // fromEntries defines properties, so that a key named __proto__ stays a key.
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
