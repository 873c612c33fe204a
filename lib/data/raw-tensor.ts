/** Between `Tensor` and the bytes that files hold. */
import { TorchSearchError } from "../errors";
import {
  arrayClassOf,
  type DType,
  decodeElement,
  dtypeOfFile,
  encodeElement,
  fileDTypeOf,
} from "../model/dtype";
import { Tensor, type TypedArray } from "../model/tensor";
import { Breather } from "../util/breather";
import type { RawTensor } from "./safetensors";

/** Bytes that are copied at a time. */
const SLICE = 1 << 20;

export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** A tensor's bytes, row-major. They may be a view of its memory: use them before the tensor changes or is closed. */
export function tensorToRaw(tensor: Tensor): RawTensor {
  const dtype = fileDTypeOf(tensor.dtype);
  if (dtype === undefined) {
    throw new TorchSearchError(
      "ERR_DTYPE",
      `a tensor of dtype ${tensor.dtype} can't be written to a safetensors file`,
    );
  }
  const data = tensor.data();
  return {
    dtype,
    shape: [...tensor.shape],
    bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** A tensor with memory of its own. The bytes need not be aligned. */
export function tensorFromRaw(raw: RawTensor): Tensor {
  const { buffer, byteOffset, byteLength } = raw.bytes;
  return tensorOver(raw, buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
}

/** A tensor whose memory is a buffer. */
function tensorOver(raw: RawTensor, buffer: ArrayBuffer): Tensor {
  const dtype = dtypeOfFile(raw.dtype);
  if (dtype === undefined) {
    throw new TorchSearchError(
      "ERR_DTYPE",
      `safetensors dtype ${raw.dtype} has no counterpart; convert it, for example to F32`,
    );
  }
  return Tensor.from(new (arrayClassOf(dtype))(buffer), raw.shape, { dtype });
}

/** As {@link tensorFromRaw}, copied piece by piece, so that the event loop goes on beside large tensors. */
export async function tensorFromFile(raw: RawTensor): Promise<Tensor> {
  const breather = new Breather();
  const own = new Uint8Array(raw.bytes.byteLength);
  for (let at = 0; at < own.length; at += SLICE) {
    own.set(raw.bytes.subarray(at, at + SLICE), at);
    await breather.breathe();
  }
  return tensorOver(raw, own.buffer);
}

/**
 * A tensor's values in another dtype, with memory of their own.
 *
 * @returns also whether every value is the same as before
 * @throws `ERR_DTYPE` when the dtype can't hold a value
 */
export function converted(tensor: Tensor, dtype: DType): { tensor: Tensor; exact: boolean } {
  const { dtype: own, shape } = tensor;
  const data = tensor.data() as ArrayLike<number | bigint>;
  const made = new (arrayClassOf(dtype))(data.length) as unknown as (number | bigint)[] & TypedArray;
  let exact = true;
  for (let i = 0; i < data.length; i++) {
    const value = decodeElement(data[i] as number | bigint, own);
    const stored = encodeElement(value, dtype);
    made[i] = stored;
    const kept = decodeElement(made[i] as number | bigint, dtype);
    if (Number(kept) !== Number(value) && !(Number.isNaN(Number(kept)) && Number.isNaN(Number(value))))
      exact = false;
  }
  return { tensor: Tensor.from(made, shape, { dtype }), exact };
}

/** A copy on the CPU with memory of its own. */
export function tensorClone(tensor: Tensor): Tensor {
  return tensorFromRaw(tensorToRaw(tensor));
}

/** Closes every tensor in a value, however deep it sits in arrays, records and Maps. */
export function closeTensors(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (isTensor(value)) value.close();
  else if (Array.isArray(value)) value.forEach(closeTensors);
  else if (value instanceof Map) value.forEach(closeTensors);
  else Object.values(value).forEach(closeTensors);
}
