/**
 * The .npy format of NumPy (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 to 3.
 */
import { TorchSearchError } from "../errors";
import { Breather } from "../util/breather";
import { listed } from "../util/listed";
import type { RawTensor, SafetensorsDtype } from "./safetensors";

/** NumPy's type codes without byte order, as our tensors hold them. Unsigned ones that PyTorch lacks are widened. */
const DTYPES: Readonly<
  Record<
    string,
    { dtype: SafetensorsDtype; size: number; widen?: (bytes: Uint8Array) => Promise<Uint8Array> }
  >
> = {
  b1: { dtype: "BOOL", size: 1 },
  i1: { dtype: "I8", size: 1 },
  u1: { dtype: "U8", size: 1 },
  i2: { dtype: "I16", size: 2 },
  i4: { dtype: "I32", size: 4 },
  i8: { dtype: "I64", size: 8 },
  f2: { dtype: "F16", size: 2 },
  f4: { dtype: "F32", size: 4 },
  f8: { dtype: "F64", size: 8 },
  u2: { dtype: "I32", size: 2, widen: widened(Int32Array, (view, i) => view.getUint16(2 * i, true), 2) },
  u4: {
    dtype: "I64",
    size: 4,
    widen: widened(BigInt64Array, (view, i) => BigInt(view.getUint32(4 * i, true)), 4),
  },
  u8: { dtype: "U64", size: 8 },
};

/** Elements that are moved at a time. */
const SLICE = 1 << 14;

/** Runs something for the first and the last of some elements, piece by piece, beside the event loop. */
async function inSlices(count: number, run: (from: number, to: number) => void): Promise<void> {
  const breather = new Breather();
  for (let from = 0; from < count; from += SLICE) {
    run(from, Math.min(count, from + SLICE));
    await breather.breathe();
  }
}

/** A conversion of each element to one of another array's. */
function widened<Value extends number | bigint>(
  Wide: new (length: number) => NodeJS.TypedArray & { [at: number]: Value },
  read: (view: DataView, at: number) => Value,
  size: number,
): (bytes: Uint8Array) => Promise<Uint8Array> {
  return async (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wide = new Wide(bytes.length / size);
    await inSlices(wide.length, (from, to) => {
      for (let at = from; at < to; at++) wide[at] = read(view, at);
    });
    return new Uint8Array(wide.buffer, wide.byteOffset, wide.byteLength);
  };
}

/** NumPy's own limit (`max_header_size`): a longer text may take its reader long. */
const MAX_HEADER = 10_000;

/**
 * Reads the contents of a .npy file, with turns of the event loop in between. Fortran-ordered arrays are put in row-major order; uint16 becomes int32 and
 * uint32 becomes int64, since PyTorch computes with neither; uint64 stays what it is.
 *
 * @param file the file's name, for messages
 * @throws `ERR_DATA_FILE` when it is damaged, big-endian, or of a type that no tensor has
 */
export async function decodeNpy(bytes: Uint8Array, file: string): Promise<RawTensor> {
  const fail = (what: string): TorchSearchError =>
    new TorchSearchError("ERR_DATA_FILE", `${file} can't be read as .npy: ${what}.`);
  if (
    bytes.length < 10 ||
    bytes[0] !== 0x93 ||
    Buffer.from(bytes.subarray(1, 6)).toString("latin1") !== "NUMPY"
  ) {
    throw fail("it does not start as a .npy file does");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(6);
  if (version < 1 || version > 3) throw fail(`its format version ${version} is unknown`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw fail("its header is cut off");
  const headerLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (start + headerLength > bytes.length) throw fail("its header is cut off");
  if (headerLength > MAX_HEADER)
    throw fail(`its header has ${headerLength} bytes, and NumPy reads no more than ${MAX_HEADER}`);
  const header = Buffer.from(bytes.subarray(start, start + headerLength)).toString(
    version === 3 ? "utf8" : "latin1",
  );

  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const shapeText = /'shape'\s*:\s*\(([^)]*)\)/.exec(header)?.[1];
  if (order === undefined || shapeText === undefined) throw fail("its header is malformed");
  if (descr === undefined) throw fail("its elements are records; save each field as an array of its own");
  const shape = shapeText
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map((item) => Number(item.replace(/L$/, "")));
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) throw fail("its shape is malformed");

  const kind = DTYPES[descr.slice(1)];
  if (descr.startsWith(">") && kind !== undefined && kind.size > 1) {
    throw fail(`its elements (${descr}) are big-endian; save array.astype("<${descr.slice(1)}") instead`);
  }
  if (kind === undefined) {
    throw fail(
      `its elements have the NumPy type ${descr}, which no tensor has; convert them, for example to float32`,
    );
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const data = bytes.subarray(start + headerLength);
  if (data.length !== count * kind.size) {
    throw fail(
      `it has ${data.length} bytes of elements where its shape (${listed(shape)}) needs ${count * kind.size}`,
    );
  }
  const ordered = order === "True" ? await rowMajor(data, shape, kind.size) : data;
  return { dtype: kind.dtype, shape, bytes: (await kind.widen?.(ordered)) ?? ordered };
}

/** Column-major elements in row-major order. */
async function rowMajor(data: Uint8Array, shape: readonly number[], size: number): Promise<Uint8Array> {
  if (shape.length < 2) return data;
  const strides: number[] = []; // of the source, in elements: the first dimension is the fastest
  let stride = 1;
  for (const length of shape) {
    strides.push(stride);
    stride *= length;
  }
  const out = new Uint8Array(data.length);
  const index = new Array<number>(shape.length).fill(0);
  let source = 0;
  await inSlices(stride, (from, to) => {
    for (let target = from; target < to; target++) {
      for (let b = 0; b < size; b++) out[target * size + b] = data[source * size + b] as number;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        index[axis] = (index[axis] as number) + 1;
        source += strides[axis] as number;
        if ((index[axis] as number) < (shape[axis] as number)) break;
        source -= (strides[axis] as number) * (shape[axis] as number);
        index[axis] = 0;
      }
    }
  });
  return out;
}
