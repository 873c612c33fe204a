/**
 * The safetensors format (https://github.com/huggingface/safetensors#format): eight bytes little-endian header length,
 * a JSON header padded with spaces to a multiple of eight, then the tensors' bytes, row-major and little-endian,
 * without gaps. Reading checks what the reference implementation checks.
 */
import { TorchSearchError } from "../errors";
import { arrayClassOf, DTYPE_NAMES, type FileDType, fileDTypeOf } from "../model/dtype";
import { Breather } from "../util/breather";
import { isRecord, requirePath } from "../util/check";
import { openRegularFile, readRegularFile } from "../util/regular-file";
import { jsonMembers } from "./json-members";

/** Element types, as safetensors spells them: the dtypes of tensors, and 8-bit floats. */
export type SafetensorsDtype = FileDType | "F8_E5M2" | "F8_E4M3";

/** Bytes of an element, by dtype. */
export const SAFETENSORS_DTYPES = {
  F8_E5M2: 1,
  F8_E4M3: 1,
  ...(Object.fromEntries(
    DTYPE_NAMES.map((dtype) => [fileDTypeOf(dtype), arrayClassOf(dtype).BYTES_PER_ELEMENT]),
  ) as Record<FileDType, number>),
} as const;

/** A tensor as the file holds it: row-major little-endian bytes. */
export interface RawTensor {
  /** As the file spells it, such as `F32` or `BF16`. */
  dtype: SafetensorsDtype;
  /** Sizes of the dimensions; empty for a scalar. */
  shape: number[];
  /** Elements, row by row, little-endian. */
  bytes: Uint8Array;
}

/** A file's contents. Tensors are in the order of the header. */
export interface SafetensorsFile {
  /** By name. */
  tensors: Map<string, RawTensor>;
  /** The texts of `__metadata__`, by name. */
  metadata: Record<string, string>;
}

const MAX_HEADER = 100_000_000;
const METADATA_KEY = "__metadata__";

/**
 * Lays out a file, as chunks to write one after the other; tensors' bytes are not copied.
 *
 * @throws `ERR_SAFETENSORS` when a tensor's bytes don't fit its shape and dtype, or its name is reserved
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  // Widest elements first, as the reference implementation does it, so that every tensor is aligned to its dtype.
  const entries = [...tensors].sort(
    ([nameA, a], [nameB, b]) =>
      SAFETENSORS_DTYPES[b.dtype] - SAFETENSORS_DTYPES[a.dtype] ||
      (nameA < nameB ? -1 : nameA > nameB ? 1 : 0),
  );
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0)
    fields.push(`${JSON.stringify(METADATA_KEY)}:${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const [name, tensor] of entries) {
    if (name === METADATA_KEY) throw fail(`a tensor can't be named ${METADATA_KEY}`);
    const size = byteSize(tensor.shape, tensor.dtype);
    if (size !== tensor.bytes.byteLength) {
      throw fail(`tensor "${name}" has ${tensor.bytes.byteLength} bytes where its shape needs ${size}`);
    }
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, offset + size] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset += size;
  }
  const json = Buffer.from(`{${fields.join(",")}}`, "utf8");
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8), 0);
  json.copy(header, 8);
  return [header, ...entries.map(([, tensor]) => tensor.bytes)];
}

/**
 * Reads a file's contents, with turns of the event loop in between. The tensors' bytes are views of `file`, not copies,
 * and may be unaligned.
 *
 * @throws `ERR_SAFETENSORS` saying what is wrong with the file
 */
export async function decodeSafetensors(file: Uint8Array): Promise<SafetensorsFile> {
  if (file.byteLength < 8) throw fail("the file is shorter than its eight-byte header length");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER) || Number(length) > file.byteLength - 8) {
    throw fail(`its header claims ${length} bytes, the file has ${file.byteLength - 8}`);
  }
  const start = 8 + Number(length);
  const header = await parseHeader(file.subarray(8, start));
  const data = file.subarray(start);

  const tensors = new Map<string, RawTensor>();
  let metadata: Record<string, string> = {};
  const spans: Span[] = [];
  const breather = new Breather();
  for (const [name, entry] of header) {
    await breather.breathe();
    if (name === METADATA_KEY) {
      if (!isRecord(entry) || !Object.values(entry).every((value) => typeof value === "string")) {
        throw fail("its metadata must map strings to strings");
      }
      metadata = entry as Record<string, string>;
      continue;
    }
    const { dtype, shape, begin, end } = checkEntry(name, entry);
    if (end > data.byteLength) throw fail(`tensor "${name}" ends after the end of the file; it was cut off`);
    spans.push([begin, end]);
    tensors.set(name, { dtype, shape, bytes: data.subarray(begin, end) });
  }
  const covered = await coveredFromStart(spans);
  if (covered === null) throw fail("its tensors overlap or leave a gap");
  if (covered !== data.byteLength)
    throw fail(`${data.byteLength - covered} bytes at its end belong to no tensor`);
  return { tensors, metadata };
}

/** Reads a file. Errors of the file system come through as they are. */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  requirePath(path, "readSafetensors");
  return decodeSafetensors(await readRegularFile(path));
}

/** Reads only a file's metadata and its tensors' names, dtypes and shapes, without their bytes. */
export async function readSafetensorsHeader(
  path: string,
): Promise<{ metadata: Record<string, string>; tensors: Map<string, Omit<RawTensor, "bytes">> }> {
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    const prefix = Buffer.alloc(8);
    await file.read(prefix, 0, 8, 0);
    const length = prefix.readBigUInt64LE(0);
    if (size < 8 || length > BigInt(Math.min(MAX_HEADER, size - 8)))
      throw fail(`its header claims ${length} bytes`);
    const json = Buffer.alloc(Number(length));
    await file.read(json, 0, json.length, 8);
    const tensors = new Map<string, Omit<RawTensor, "bytes">>();
    let metadata: Record<string, string> = {};
    for (const [name, entry] of await parseHeader(json)) {
      if (name === METADATA_KEY) metadata = entry as Record<string, string>;
      else {
        const { dtype, shape } = checkEntry(name, entry);
        tensors.set(name, { dtype, shape });
      }
    }
    return { metadata, tensors };
  } finally {
    await file.close();
  }
}

type Span = readonly [begin: number, end: number];

/** Where spans that follow each other from 0 on end; null where they overlap, or leave a gap. */
async function coveredFromStart(spans: readonly Span[]): Promise<number | null> {
  const breather = new Breather();
  const ends = new Map<number, number>();
  for (const [begin, end] of spans) {
    await breather.breathe();
    if (begin === end) continue;
    if (ends.has(begin)) return null;
    ends.set(begin, end);
  }
  const borders = new Set([0]);
  let covered = 0;
  for (let end = ends.get(0); end !== undefined; end = ends.get(end)) {
    await breather.breathe();
    borders.add(end);
    covered = end;
  }
  const all = borders.size === ends.size + 1 && spans.every(([begin]) => borders.has(begin));
  return all ? covered : null;
}

async function parseHeader(bytes: Uint8Array): Promise<Map<string, unknown>> {
  try {
    return await jsonMembers(bytes);
  } catch (error) {
    throw fail(`its header is not a sound JSON object: ${(error as Error).message}`, error);
  }
}

function checkEntry(
  name: string,
  entry: unknown,
): { dtype: SafetensorsDtype; shape: number[]; begin: number; end: number } {
  if (!isRecord(entry)) throw fail(`the entry of tensor "${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(SAFETENSORS_DTYPES, dtype)) {
    throw fail(`tensor "${name}" has the unknown dtype ${JSON.stringify(dtype)}`);
  }
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isSize)) throw fail(`tensor "${name}" has a bad shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw fail(`tensor "${name}" has bad offsets`);
  }
  const [begin, end] = offsets as [number, number];
  const size = byteSize(shape, dtype as SafetensorsDtype);
  if (end - begin !== size)
    throw fail(`tensor "${name}" has ${end - begin} bytes where its shape needs ${size}`);
  return { dtype: dtype as SafetensorsDtype, shape, begin, end };
}

function byteSize(shape: readonly number[], dtype: SafetensorsDtype): number {
  return shape.reduce((product, size) => product * size, SAFETENSORS_DTYPES[dtype]);
}

function fail(what: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError("ERR_SAFETENSORS", `This is not a sound safetensors file: ${what}.`, { cause });
}
