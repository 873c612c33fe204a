import { types } from "node:util";

import { TorchSearchError } from "../errors";
import { makeTensor } from "../native/tensor";
import type { NativeTensor, TypedArray } from "../native/types/tensor";
import { expected, requireOptions } from "../util/check";
import {
  arrayClassOf,
  type DType,
  decodeElement,
  dtypeOfArray,
  type Element,
  encodeElement,
  requireDType,
} from "./dtype";

export type { TypedArray } from "../native/types/tensor";
export type { DType, Element } from "./dtype";

/** A number, boolean or bigint, or arrays of them nested evenly, one level a dimension. */
export type NestedElements = Element | readonly NestedElements[];

/** Options of {@link Tensor.from}. */
export interface TensorOptions {
  /** Element type; by default the typed array's own, `float32` for plain numbers, `bool`, or `int64` for bigints. */
  dtype?: DType;
}

/**
 * An n-dimensional array in native memory. Close it when done (`close()`, or `using`), or leave it to the garbage
 * collector, which knows its size.
 *
 * @example
 * ```ts
 * const tensor = Tensor.from([[1, 2], [3, 4]]);
 * console.log(tensor.shape, tensor.dtype, tensor.data()); // [2, 2] "float32" Float32Array [1, 2, 3, 4]
 * tensor.close();
 * ```
 */
export class Tensor {
  /** @internal The native handle. */
  readonly native: NativeTensor;

  private constructor(native: NativeTensor) {
    this.native = native;
  }

  /** @internal */
  static wrap(native: NativeTensor): Tensor {
    return new Tensor(native);
  }

  /**
   * Makes a tensor of a typed array or of nested plain values.
   *
   * A typed array of the dtype's own kind is not copied: tensor and array share their memory. `float16` and `bfloat16`
   * share a `Uint16Array` of bit patterns; with a dtype of another kind, the values are converted (and copied). Where
   * the array's `ArrayBuffer` is transferred away, calls that run go on with the memory, and every later use of the
   * tensor throws `ERR_CLOSED`. Shared and resizable buffers are copied.
   *
   * @param data typed array, or nested arrays of numbers, booleans or bigints
   * @param shape sizes of the dimensions; default `[length]`, or the nesting's
   * @throws `ERR_SHAPE` when the shape does not fit, `ERR_DTYPE` when the dtype is unknown or cannot hold a value,
   *   `ERR_CLOSED` when the array's memory was transferred away
   */
  static from(
    data: TypedArray | Uint8ClampedArray | NestedElements,
    shape?: readonly number[],
    options: TensorOptions = {},
  ): Tensor {
    requireOptions(options, "Tensor.from");
    const asked = options.dtype === undefined ? undefined : requireDType(options.dtype);
    if (ArrayBuffer.isView(data)) return fromTypedArray(data, shape ?? [data.length], asked);
    const values: Element[] = [];
    const nesting: number[] = [];
    flatten(data, 0, nesting, values);
    const dtype = asked ?? naturalDType(values);
    return wrapArray(encode(values, dtype), shape ?? nesting, dtype);
  }

  /** Sizes of the dimensions; `[]` for a scalar. */
  get shape(): number[] {
    return this.native.shape;
  }

  /** Element type, such as `float32`; another PyTorch name where JavaScript has no such array. */
  get dtype(): DType {
    return this.native.dtype as DType;
  }

  /** Where the memory is: `cpu`, `cuda:0`, … */
  get device(): string {
    return this.native.device;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.native.closed;
  }

  /**
   * The elements in row-major order: `BigInt64Array` for `int64`, `Uint8Array` for `bool`, bit patterns in a
   * `Uint16Array` for 16-bit floats. Where the tensor is contiguous and on the CPU this is a view of its memory, which
   * lives as long as the array does, even after `close()`; else a copy.
   *
   * @throws `ERR_CLOSED`, and `ERR_DTYPE` for tensors without such an array (complex, quantized, sparse)
   */
  data(): TypedArray {
    return this.native.data();
  }

  /** The elements as nested arrays of numbers (also for 16-bit floats), booleans, or bigints (64-bit integers). */
  toArray(): NestedElements {
    const { shape, dtype } = this;
    const elements = Array.from(this.data() as ArrayLike<number | bigint>, (stored) =>
      decodeElement(stored, dtype),
    );
    return nest(elements, shape, 0, 0);
  }

  /** The one element of a tensor that has just one. @throws `ERR_SHAPE` */
  item(): Element {
    const data = this.data();
    if (data.length !== 1) {
      throw new TorchSearchError(
        "ERR_SHAPE",
        `item() needs a tensor of one element; this one has ${data.length}.`,
      );
    }
    return decodeElement(data[0] as number | bigint, this.dtype);
  }

  /** Frees the memory as soon as nothing else uses it. Every later use throws `ERR_CLOSED`. May be called twice. */
  close(): void {
    this.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function fromTypedArray(
  data: TypedArray | Uint8ClampedArray,
  shape: readonly number[],
  asked?: DType,
): Tensor {
  const own = dtypeOfArray(data);
  if (own === null) {
    throw new TorchSearchError(
      "ERR_DTYPE",
      "Tensor.from takes the typed arrays of numbers and bigints, but not a DataView.",
    );
  }
  const dtype = asked ?? own;
  const sameKind =
    data instanceof arrayClassOf(dtype) || (data instanceof Uint8ClampedArray && dtype === "uint8");
  // PyTorch's bool is 0 or 1, nothing else.
  const usable = sameKind && (dtype !== "bool" || (data as Uint8Array).every((value) => value <= 1));
  if (usable) return wrapArray(hasFixedMemory(data) ? data : copyOf(data, dtype), shape, dtype);
  return wrapArray(encode(data as ArrayLike<Element>, dtype), shape, dtype);
}

/** Whether nothing but a transfer can take the array's memory away, and no other thread writes to it. */
function hasFixedMemory({ buffer }: ArrayBufferView): boolean {
  return types.isArrayBuffer(buffer) && (buffer as { resizable?: boolean }).resizable !== true;
}

/** Not `slice`, which a Node Buffer has in another meaning. */
function copyOf(data: TypedArray | Uint8ClampedArray, dtype: DType): TypedArray {
  const copy = allocate(dtype, data.length);
  (copy as Uint8Array).set(data as Uint8Array);
  return copy;
}

function wrapArray(array: ArrayBufferView, shape: readonly number[], dtype: DType): Tensor {
  if (!Array.isArray(shape)) throw expected("ERR_SHAPE", "an array of sizes", "shape", shape);
  return Tensor.wrap(makeTensor(array, [...shape], dtype));
}

function encode(values: ArrayLike<Element>, dtype: DType): TypedArray {
  const array = allocate(dtype, values.length) as unknown as (number | bigint)[] & TypedArray;
  for (let i = 0; i < values.length; i++) array[i] = encodeElement(values[i] as Element, dtype);
  return array;
}

function allocate(dtype: DType, length: number): TypedArray {
  try {
    return new (arrayClassOf(dtype))(length);
  } catch (cause) {
    throw new TorchSearchError(
      "ERR_OUT_OF_MEMORY",
      `There is not enough memory for ${length} elements of ${dtype}; use a smaller batch, or close tensors that are no longer needed.`,
      { cause },
    );
  }
}

function naturalDType(values: readonly Element[]): DType {
  if (values.length > 0 && values.every((value) => typeof value === "boolean")) return "bool";
  if (values.length > 0 && values.every((value) => typeof value === "bigint")) return "int64";
  return "float32";
}

/** Dimensions that LibTorch's operators take. */
const MAX_DEPTH = 64;

/** Appends the elements in row-major order, and checks that the nesting is even. */
function flatten(data: unknown, depth: number, shape: number[], out: Element[]): void {
  if (Array.isArray(data)) {
    if (depth > MAX_DEPTH)
      throw new TorchSearchError("ERR_SHAPE", "The arrays are nested too deeply, or contain themselves.");
    if (shape.length === depth && out.length === 0) shape.push(data.length);
    if (shape[depth] !== data.length) throw uneven();
    for (const item of data) flatten(item, depth + 1, shape, out);
    return;
  }
  if (typeof data !== "number" && typeof data !== "bigint" && typeof data !== "boolean") {
    throw new TorchSearchError(
      "ERR_INPUT",
      `Tensor.from needs numbers, booleans or bigints, but got ${data === null ? "null" : typeof data}.`,
    );
  }
  if (depth !== shape.length) throw uneven();
  out.push(data);
}

function uneven(): TorchSearchError {
  return new TorchSearchError(
    "ERR_SHAPE",
    "The nested arrays are uneven; every array of a level needs the same length.",
  );
}

function nest(
  elements: readonly Element[],
  shape: readonly number[],
  dimension: number,
  offset: number,
): NestedElements {
  if (dimension === shape.length) return elements[offset] as Element;
  const size = shape[dimension] as number;
  const stride = shape.slice(dimension + 1).reduce((product, next) => product * next, 1);
  return Array.from({ length: size }, (_, i) => nest(elements, shape, dimension + 1, offset + i * stride));
}
