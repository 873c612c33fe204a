import { TorchSearchError } from "../errors";
import { Tensor } from "../model/tensor";
import { fakeQuantize as fakeQuantizeNative } from "../native/number-format";
import { expected, requireOptions } from "../util/check";
import { type NumberFormat, readNumberFormat } from "./formats";

/** Options of {@link fakeQuantize}. */
export interface FakeQuantizeOptions {
  /** The dimension of the channels, for scales by channel or block; default 0. */
  axis?: number;
  /** Ends the call with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
}

/** A tensor on the grid of a format. */
export interface FakeQuantized {
  /** The rounded values, in the tensor's shape and dtype. */
  values: Tensor;
  /** float32, of `[1]`, `[channels]` or `[blocks]`. */
  scale: Tensor;
  /** int32 of the same shape; null for float formats. */
  zeroPoint: Tensor | null;
}

/**
 * Rounds a tensor to a number format, calibrated on the tensor itself: scale x (q - zero point) with
 * q = clamp(round(x / scale) + zero point), ties to even. For a float format, scale x float8(x / scale).
 *
 * @param tensor of a floating dtype
 * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CALIBRATION_NAN`, `ERR_ARGUMENT`, `ERR_DTYPE`,
 *   `ERR_CLOSED`
 */
export async function fakeQuantize(
  tensor: Tensor,
  format: NumberFormat,
  options: FakeQuantizeOptions = {},
): Promise<FakeQuantized> {
  requireOptions(options, "fakeQuantize");
  if (!(tensor instanceof Tensor)) throw expected("ERR_ARGUMENT", "a Tensor", "tensor", tensor);
  if (!/^(b?float)/.test(tensor.dtype)) {
    throw new TorchSearchError("ERR_DTYPE", `expected a tensor of floats but received ${tensor.dtype}`);
  }
  const { axis = 0, signal } = options;
  if (!Number.isInteger(axis) || axis < 0 || axis >= Math.max(1, tensor.shape.length)) {
    throw expected("ERR_ARGUMENT", "one of the tensor's dimensions", "axis", axis);
  }
  const native = readNumberFormat(format, "format", "weight");
  const { values, scale, zeroPoint } = await fakeQuantizeNative(tensor.native, native, axis, { signal });
  return {
    values: Tensor.wrap(values),
    scale: Tensor.wrap(scale),
    zeroPoint: zeroPoint === null ? null : Tensor.wrap(zeroPoint),
  };
}
