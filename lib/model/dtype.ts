/** The dtypes of tensors, and their elements in JavaScript. */
import { TorchSearchError } from "../errors";
import type { TypedArray } from "../native/types/tensor";

/** One element in JavaScript. */
export type Element = number | bigint | boolean;

interface TypedArrayClass {
  new (length: number): TypedArray;
  new (buffer: ArrayBuffer): TypedArray;
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
}

interface DTypeFacts {
  /** The class of typed arrays that holds the elements. */
  array: TypedArrayClass;
  /** Whether a typed array of that class has this dtype where none is given. */
  natural: boolean;
  /** The name in safetensors files. */
  file: string;
  /** Smallest and largest value of an integer type. */
  range?: readonly [bigint, bigint];
}

function signed(bits: bigint): readonly [bigint, bigint] {
  return [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
}

function unsigned(bits: bigint): readonly [bigint, bigint] {
  return [0n, (1n << bits) - 1n];
}

/** The dtypes by PyTorch's names: the one table of them. 16-bit floats are bit patterns in a `Uint16Array`. */
const DTYPES = {
  float32: { array: Float32Array, natural: true, file: "F32" },
  float64: { array: Float64Array, natural: true, file: "F64" },
  float16: { array: Uint16Array, natural: false, file: "F16" },
  bfloat16: { array: Uint16Array, natural: false, file: "BF16" },
  int64: { array: BigInt64Array, natural: true, file: "I64", range: signed(64n) },
  int32: { array: Int32Array, natural: true, file: "I32", range: signed(32n) },
  int16: { array: Int16Array, natural: true, file: "I16", range: signed(16n) },
  int8: { array: Int8Array, natural: true, file: "I8", range: signed(8n) },
  uint8: { array: Uint8Array, natural: true, file: "U8", range: unsigned(8n) },
  bool: { array: Uint8Array, natural: false, file: "BOOL" },
  uint16: { array: Uint16Array, natural: true, file: "U16", range: unsigned(16n) },
  uint32: { array: Uint32Array, natural: true, file: "U32", range: unsigned(32n) },
  uint64: { array: BigUint64Array, natural: true, file: "U64", range: unsigned(64n) },
} as const satisfies Record<string, DTypeFacts>;

/** Element types of tensors, by PyTorch's names. */
export type DType = keyof typeof DTYPES;

/** A dtype's name in safetensors files. */
export type FileDType = (typeof DTYPES)[DType]["file"];

/** All dtypes, the most usual first. */
export const DTYPE_NAMES = Object.keys(DTYPES) as readonly DType[];

/** Whether a dtype has this name. */
export function isDType(name: string): name is DType {
  return Object.hasOwn(DTYPES, name);
}

/** Refuses names that are not dtypes. @throws `ERR_DTYPE` */
export function requireDType(name: string): DType {
  if (isDType(name)) return name;
  throw new TorchSearchError(
    "ERR_DTYPE",
    `There is no dtype "${name}"; use one of ${DTYPE_NAMES.join(", ")}.`,
  );
}

/** The typed array class that holds a dtype's elements. */
export function arrayClassOf(dtype: DType): TypedArrayClass {
  return DTYPES[dtype].array;
}

/** The name in safetensors files; undefined for a dtype that JavaScript has no arrays for. */
export function fileDTypeOf(dtype: DType): FileDType | undefined {
  return isDType(dtype) ? DTYPES[dtype].file : undefined;
}

/** The reverse of {@link fileDTypeOf}. */
export function dtypeOfFile(name: string): DType | undefined {
  return DTYPE_NAMES.find((dtype) => DTYPES[dtype].file === name);
}

/** The dtype of a typed array where none is given; null for an unknown kind of array. */
export function dtypeOfArray(array: ArrayBufferView): DType | null {
  if (array instanceof Uint8ClampedArray) return "uint8";
  return DTYPE_NAMES.find((dtype) => DTYPES[dtype].natural && array instanceof DTYPES[dtype].array) ?? null;
}

/** An element as its typed array holds it. @throws `ERR_DTYPE` when the dtype cannot hold it */
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
  const { array, range }: DTypeFacts = DTYPES[dtype];
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
