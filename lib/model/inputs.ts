/** The arguments of a forward: one value by the convention of `torch.onnx.export`'s `args`, or its parts. */
import type { NativeInputs } from "../native/types/module";
import { isRecord } from "../util/check";
import { toNative } from "./values";

/** A model's inputs, apart: positional ones and keyword arguments. */
export interface ModelInputs {
  args: unknown[];
  kwargs: Record<string, unknown>;
}

/**
 * Reads one value by the convention of `torch.onnx.export`'s `args`: an array is a tuple of arguments, and a plain
 * record in its last place holds keyword arguments; anything else is the one positional argument.
 */
export function splitInputs(value: unknown): ModelInputs {
  if (!Array.isArray(value)) return { args: [value], kwargs: {} };
  const last: unknown = value.at(-1);
  if (isRecord(last)) return { args: value.slice(0, -1), kwargs: last };
  return { args: value, kwargs: {} };
}

/** The opposite of {@link splitInputs}: the arguments to spread into `model.forward(…)`. */
export function joinInputs({ args, kwargs }: ModelInputs): unknown[] {
  return isRecord(args.at(-1)) || Object.keys(kwargs).length > 0 ? [...args, kwargs] : args;
}

/** Inputs with native tensors in the place of tensors. */
export function nativeInputs({ args, kwargs }: ModelInputs): NativeInputs {
  return { args: toNative(args) as unknown[], kwargs: toNative(kwargs) as Record<string, unknown> };
}

/** As {@link nativeInputs}, of one value that {@link splitInputs} reads, such as a dummy input. */
export function nativeInputsOf(value: unknown): NativeInputs {
  return nativeInputs(splitInputs(value));
}
