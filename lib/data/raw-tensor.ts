/** Between `Tensor` and the bytes that files hold. */
import { TorchSearchError } from "../errors";
import { type DType, Tensor, type TypedArray } from "../model/tensor";
import type { RawTensor, SafetensorsDtype } from "./safetensors";

const DTYPE_OF_FILE: Readonly<Partial<Record<SafetensorsDtype, DType>>> = {
  BOOL: "bool",
  U8: "uint8",
  I8: "int8",
  I16: "int16",
  U16: "uint16",
  F16: "float16",
  BF16: "bfloat16",
  I32: "int32",
  U32: "uint32",
  F32: "float32",
  I64: "int64",
  U64: "uint64",
  F64: "float64",
};

const DTYPE_IN_FILE = Object.fromEntries(
  Object.entries(DTYPE_OF_FILE).map(([file, dtype]) => [dtype, file]),
) as Record<DType, SafetensorsDtype>;

export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** A tensor's bytes, row-major. They may be a view of its memory: use them before the tensor changes or is closed. */
export function tensorToRaw(tensor: Tensor): RawTensor {
  const dtype = DTYPE_IN_FILE[tensor.dtype];
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
  const dtype = DTYPE_OF_FILE[raw.dtype];
  if (dtype === undefined) {
    throw new TorchSearchError(
      "ERR_DTYPE",
      `safetensors dtype ${raw.dtype} has no counterpart; convert it, for example to F32`,
    );
  }
  return Tensor.from(typedArrayOf(dtype, raw.bytes), raw.shape, { dtype });
}

/** A copy on the CPU with memory of its own. */
export function tensorClone(tensor: Tensor): Tensor {
  return tensorFromRaw(tensorToRaw(tensor));
}

/** The typed array that holds elements of a dtype, over a copy of the bytes; 16-bit floats are raw 16-bit words. */
function typedArrayOf(dtype: DType, bytes: Uint8Array): TypedArray {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  switch (dtype) {
    case "float64":
      return new Float64Array(buffer);
    case "float32":
      return new Float32Array(buffer);
    case "int64":
      return new BigInt64Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "uint64":
      return new BigUint64Array(buffer);
    case "uint32":
      return new Uint32Array(buffer);
    case "uint16":
    case "float16":
    case "bfloat16":
      return new Uint16Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    default:
      return new Uint8Array(buffer);
  }
}

/** Closes every tensor in a value, however deep it sits in arrays, records and Maps. */
export function closeTensors(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (isTensor(value)) value.close();
  else if (Array.isArray(value)) value.forEach(closeTensors);
  else if (value instanceof Map) value.forEach(closeTensors);
  else Object.values(value).forEach(closeTensors);
}
