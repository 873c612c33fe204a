import { TorchSearchError } from "../errors";
import type { TypedArray } from "../native/types/tensor";

/** Element types of tensors, by PyTorch's names. */
export type DType =
  | "bool"
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "uint16"
  | "uint32"
  | "uint64"
  | "float16"
  | "bfloat16"
  | "float32"
  | "float64";

/** What one element is in JavaScript. */
export type Element = number | bigint | boolean;

interface TypedArrayClass {
  new (length: number): TypedArray;
  readonly name: string;
}

interface DTypeInfo {
  array: TypedArrayClass;
  /** Smallest and largest value of an integer type. */
  range?: readonly [bigint, bigint];
}

function integer(array: TypedArrayClass, bits: number, signed: boolean): DTypeInfo {
  const half = 1n << BigInt(bits - 1);
  return { array, range: signed ? [-half, half - 1n] : [0n, 2n * half - 1n] };
}

const DTYPES: Record<DType, DTypeInfo> = {
  bool: { array: Uint8Array },
  uint8: integer(Uint8Array, 8, false),
  int8: integer(Int8Array, 8, true),
  int16: integer(Int16Array, 16, true),
  int32: integer(Int32Array, 32, true),
  int64: integer(BigInt64Array, 64, true),
  uint16: integer(Uint16Array, 16, false),
  uint32: integer(Uint32Array, 32, false),
  uint64: integer(BigUint64Array, 64, false),
  float16: { array: Uint16Array },
  bfloat16: { array: Uint16Array },
  float32: { array: Float32Array },
  float64: { array: Float64Array },
};

/** Refuses names that are no dtype. @throws `ERR_DTYPE` */
export function requireDType(name: string): DType {
  if (Object.hasOwn(DTYPES, name)) return name as DType;
  const known = Object.keys(DTYPES).join(", ");
  throw new TorchSearchError("ERR_DTYPE", `There is no dtype "${name}"; use one of ${known}.`);
}

/** The typed array class that holds a dtype's elements. */
export function arrayClassOf(dtype: DType): TypedArrayClass {
  return DTYPES[dtype].array;
}

/** The dtype that a typed array has unless told otherwise; null for an unknown kind of array. */
export function dtypeOfArray(array: ArrayBufferView): DType | null {
  if (array instanceof Uint8ClampedArray) return "uint8";
  const order: DType[] = [
    "float32",
    "float64",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
  ];
  return order.find((dtype) => array instanceof DTYPES[dtype].array) ?? null;
}

/** An element's stored form: what its typed array holds. @throws `ERR_DTYPE` when the dtype cannot hold it */
export function encodeElement(value: Element, dtype: DType): number | bigint {
  switch (dtype) {
    case "bool":
      return value ? 1 : 0;
    case "float32":
    case "float64":
      return Number(value);
    case "float16":
      return float16Bits(Number(value));
    case "bfloat16":
      return bfloat16Bits(Number(value));
    default:
      return encodeInteger(value, dtype);
  }
}

/** The reverse of {@link encodeElement}. */
export function decodeElement(stored: number | bigint, dtype: DType): Element {
  if (dtype === "bool") return stored !== 0;
  if (dtype === "float16") return float16Value(Number(stored));
  if (dtype === "bfloat16") return bfloat16Value(Number(stored));
  return stored;
}

function encodeInteger(value: Element, dtype: DType): number | bigint {
  const { array, range } = DTYPES[dtype];
  const [smallest, largest] = range as readonly [bigint, bigint];
  if (typeof value === "number" && !Number.isInteger(value)) {
    throw new TorchSearchError("ERR_DTYPE", `${value} is not a whole number, which dtype ${dtype} needs.`);
  }
  const whole = BigInt(value);
  if (whole < smallest || whole > largest) {
    throw new TorchSearchError(
      "ERR_DTYPE",
      `${value} does not fit dtype ${dtype} (${smallest} to ${largest}).`,
    );
  }
  return array === BigInt64Array || array === BigUint64Array ? whole : Number(value);
}

const floatView = new Float32Array(1);
const bitView = new Uint32Array(floatView.buffer);

function float32Bits(value: number): number {
  floatView[0] = value;
  return bitView[0] as number;
}

function float32Of(bits: number): number {
  bitView[0] = bits;
  return floatView[0] as number;
}

/** Shifts bits out to the right, rounding to nearest, ties to even. */
function shiftRound(bits: number, count: number): number {
  const kept = bits >>> count;
  const rest = bits & ((1 << count) - 1);
  const half = 1 << (count - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}

/** IEEE 754 half precision bits, rounded to nearest even from float32 as PyTorch does. */
function float16Bits(value: number): number {
  const bits = float32Bits(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more: infinity
  if (magnitude >= 0x38800000) return sign | shiftRound(magnitude - 0x38000000, 13); // normal; rounds up to infinity too
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const exponent = magnitude >>> 23;
  return sign | shiftRound((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function bfloat16Bits(value: number): number {
  const bits = float32Bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0; // NaN
  return shiftRound(bits, 16) & 0xffff;
}

function bfloat16Value(bits: number): number {
  return float32Of((bits << 16) >>> 0);
}
