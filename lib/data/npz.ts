/** The .npz format of NumPy: a zip archive of .npy files. */
import { crc32, createInflateRaw } from "node:zlib";

import { TorchSearchError } from "../errors";
import { Breather } from "../util/breather";
import { listed } from "../util/listed";
import { requireInMemory } from "../util/regular-file";
import { decodeNpy } from "./npy";
import type { RawTensor } from "./safetensors";

/** Deflate makes at most so many bytes of one (https://zlib.net/zlib_tech.html). */
const LARGEST_RATIO = 1032;
/** Bytes that are summed at a time. */
const SLICE = 1 << 20;

/**
 * Reads arrays of a .npz file's contents, in the order of `keys`, or all of them in the order of the archive.
 *
 * @param file the file's name, for messages
 * @throws `ERR_DATA_FILE` when the archive or an array in it is damaged, `ERR_DATA_KEYS` when it lacks a key
 */
export async function decodeNpz(
  bytes: Uint8Array,
  file: string,
  keys?: readonly string[],
): Promise<Map<string, RawTensor>> {
  const wanted = keys === undefined ? null : new Set(keys.map((key) => `${key}.npy`));
  let members: Member[];
  const entries = new Map<string, Uint8Array>();
  try {
    members = readDirectory(bytes);
    for (const member of members) {
      const { name } = member;
      if (name.endsWith(".npy") && (wanted === null || wanted.has(name)))
        entries.set(name, await contentsOf(bytes, member));
    }
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  }
  const available = members.map(({ name }) => name.replace(/\.npy$/, ""));
  const arrays = new Map<string, RawTensor>();
  for (const key of keys ?? available) {
    const content = entries.get(`${key}.npy`);
    if (content === undefined) {
      if (keys === undefined) continue; // a member that is not an array
      throw new TorchSearchError(
        "ERR_DATA_KEYS",
        `${file} has no array "${key}"; it has ${listed(available)}.`,
      );
    }
    arrays.set(key, await decodeNpy(content, `${file}:${key}`));
  }
  return arrays;
}

/** Names of the arrays in a .npz file's contents, in the order of the archive. @throws `ERR_DATA_FILE` */
export function listNpz(bytes: Uint8Array, file: string): string[] {
  try {
    return readDirectory(bytes)
      .filter(({ name }) => name.endsWith(".npy"))
      .map(({ name }) => name.replace(/\.npy$/, ""));
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  }
}

/** A member of the archive, as its central directory has it. */
interface Member {
  name: string;
  method: number;
  /** CRC-32 of the contents. */
  checksum: number;
  /** Bytes in the archive, and of the contents. */
  packed: number;
  size: number;
  /** Where its local header begins. */
  at: number;
}

/** The archive's central directory (PKWARE, APPNOTE.TXT, 4.3.12), in its order. */
function readDirectory(bytes: Uint8Array): Member[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  const lowest = Math.max(0, end - 0xffff);
  while (end >= lowest && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < lowest) throw new Error("it is not a zip archive, or was cut off");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== 0x02014b50) throw new Error("its directory is damaged");
    const nameLength = view.getUint16(at + 28, true);
    members.push({
      name: Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString("utf8"),
      method: view.getUint16(at + 10, true),
      checksum: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: view.getUint32(at + 42, true),
    });
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  // Members that share bytes come to far more than the archive holds.
  if (members.reduce((sum, { packed }) => sum + packed, 0) > bytes.length)
    throw new Error("its members overlap");
  return members;
}

/** Piece by piece, on a thread of libuv's, into memory of the size that the archive claims. */
async function unpack(stored: Uint8Array, size: number): Promise<Uint8Array> {
  if (size > LARGEST_RATIO * stored.length + 64) throw new Error("it claims more than it can hold");
  requireInMemory(size, "it claims");
  const contents = new Uint8Array(size);
  const stream = createInflateRaw({ chunkSize: 1 << 18 });
  stream.end(stored);
  let at = 0;
  for await (const piece of stream as AsyncIterable<Uint8Array>) {
    if (at + piece.length > size) throw new Error("it holds more than it claims");
    contents.set(piece, at);
    at += piece.length;
  }
  return contents.subarray(0, at);
}

/** The contents of a member, unpacked on a thread of its own, and compared with its checksum beside the event loop. */
async function contentsOf(
  bytes: Uint8Array,
  { name, method, checksum, packed, size, at }: Member,
): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (at + 30 > bytes.length || view.getUint32(at, true) !== 0x04034b50)
    throw new Error(`the header of ${name} is damaged`);
  const start = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  if (start + packed > bytes.length) throw new Error(`${name} is cut off`);
  const stored = bytes.subarray(start, start + packed);
  if (method !== 0 && method !== 8) throw new Error(`${name} is compressed in the unknown way ${method}`);
  const contents = method === 0 ? stored : await unpack(stored, size);
  if (contents.length !== size) throw new Error(`${name} has ${contents.length} bytes instead of ${size}`);
  const breather = new Breather();
  let sum = 0;
  for (let from = 0; from < size; from += SLICE) {
    sum = crc32(contents.subarray(from, from + SLICE), sum);
    await breather.breathe();
  }
  if (sum !== checksum) throw new Error(`the checksum of ${name} is wrong`);
  return contents;
}

function damaged(file: string, what: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError("ERR_DATA_FILE", `${file} can't be read as .npz: ${what}.`, { cause });
}
