/** A typed array whose elements a tensor can share; 16-bit floats are bit patterns in a `Uint16Array`. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

export interface NativeTensor {
  readonly shape: number[];
  readonly dtype: string;
  readonly device: string;
  readonly closed: boolean;
  /** Over the tensor's own memory when it is contiguous and on the CPU, else a copy. */
  data(): TypedArray;
  close(): void;
}

export interface NativeNamedTensor {
  name: string;
  tensor: NativeTensor;
}

/** Exported by native/binding/tensor.cpp. */
export interface TensorExports {
  Tensor: {
    new (...args: never): NativeTensor;
    from(view: ArrayBufferView, shape: readonly number[], dtype: string): NativeTensor;
  };
}
