/** Number formats applied to single tensors. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeFakeQuantized, NativeNumberFormat } from "./types/number-format";
import type { NativeTensor } from "./types/tensor";

/** Rounds a tensor to a format, calibrated on itself. */
export function fakeQuantize(
  tensor: NativeTensor,
  format: NativeNumberFormat,
  axis: number,
  { signal, onProgress }: CallControl,
): Promise<NativeFakeQuantized> {
  return callNative((call) => addon().fakeQuantize(tensor, format, axis, call), signal, onProgress);
}
