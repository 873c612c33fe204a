/** Making native tensors. */
import { addon } from "./addon";
import type { NativeTensor } from "./types/tensor";

/** A tensor over the memory of a typed array. @throws `ERR_SHAPE`, `ERR_DTYPE` */
export function makeTensor(array: ArrayBufferView, shape: readonly number[], dtype: string): NativeTensor {
  return addon().Tensor.from(array, shape, dtype);
}

/** Whether a value that came from the addon is a tensor. */
export function isNativeTensor(value: object): value is NativeTensor {
  return value instanceof addon().Tensor;
}
