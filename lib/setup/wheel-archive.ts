/** Unpacking a wheel, which is a zip archive: entry by entry, through zlib's threads, never all in memory. */
import { createWriteStream } from "node:fs";
import { chmod, type FileHandle, mkdir, open } from "node:fs/promises";
import path from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";

import { TorchSearchError } from "../errors";

/** One file of an archive. */
export interface ArchiveEntry {
  name: string;
  /** 0 for stored, 8 for deflated. */
  method: number;
  crc: number;
  packed: number;
  size: number;
  /** Where its local header begins. */
  offset: number;
  /** Its mode under Unix; 0 where the archive has none. */
  mode: number;
}

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const FULL32 = 0xffff_ffff;
/** The most bytes of a list of entries; PyTorch's has some 2 MB. */
const MOST = 256 * 2 ** 20;

function broken(reason: string): TorchSearchError {
  return new TorchSearchError("ERR_SETUP_ARCHIVE", `The wheel can't be unpacked: ${reason}.`);
}

async function bytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  if (position < 0 || length < 0 || length > MOST) throw broken("it is damaged");
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  if (bytesRead < length) throw broken("it is cut off");
  return buffer;
}

/** The entries of an archive, by its central directory (APPNOTE 4.3; with Zip64). @throws `ERR_SETUP_ARCHIVE` */
export async function listEntries(file: FileHandle): Promise<ArchiveEntry[]> {
  const { size } = await file.stat();
  const tail = await bytes(file, Math.max(0, size - 65_557), Math.min(size, 65_557));
  let at = tail.length - 22;
  while (at >= 0 && tail.readUInt32LE(at) !== END) at -= 1;
  if (at < 0) throw broken("it is no zip archive");
  let count = tail.readUInt16LE(at + 10);
  let length = tail.readUInt32LE(at + 12);
  let start = tail.readUInt32LE(at + 16);
  if (at >= 20 && tail.readUInt32LE(at - 20) === LOCATOR64) {
    const end = await bytes(file, Number(tail.readBigUInt64LE(at - 12)), 56);
    if (end.readUInt32LE(0) !== END64) throw broken("it is damaged");
    count = Number(end.readBigUInt64LE(32));
    length = Number(end.readBigUInt64LE(40));
    start = Number(end.readBigUInt64LE(48));
  }
  const list = await bytes(file, start, length);
  const entries: ArchiveEntry[] = [];
  for (let i = 0, from = 0; i < count; i++) {
    if (from + 46 > list.length || list.readUInt32LE(from) !== CENTRAL)
      throw broken("its list of files is damaged");
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
      list.readUInt16LE(from + field),
    ) as [number, number, number];
    const name = list.toString("utf8", from + 46, from + 46 + nameLength);
    const extra = list.subarray(from + 46 + nameLength, from + 46 + nameLength + extraLength);
    const wide = wideFields(extra);
    const field = (value: number): number => (value === FULL32 ? (wide.shift() ?? Number.NaN) : value);
    const unpacked = field(list.readUInt32LE(from + 24));
    const packed = field(list.readUInt32LE(from + 20));
    const offset = field(list.readUInt32LE(from + 42));
    if (![unpacked, packed, offset].every(Number.isSafeInteger)) throw broken("its list of files is damaged");
    entries.push({
      name,
      method: list.readUInt16LE(from + 10),
      crc: list.readUInt32LE(from + 16),
      packed,
      size: unpacked,
      offset,
      mode: list.readUInt32LE(from + 38) >>> 16,
    });
    from += 46 + nameLength + extraLength + commentLength;
  }
  return entries;
}

/** The numbers of the Zip64 extra field, in order. */
function wideFields(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; ) {
    const size = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === 1) {
      const field = extra.subarray(at + 4, at + 4 + size);
      return Array.from({ length: Math.floor(field.length / 8) }, (_, i) =>
        Number(field.readBigUInt64LE(8 * i)),
      );
    }
    at += 4 + size;
  }
  return [];
}

/** Refuses names that lead out of the folder, and entries that are no files. @throws `ERR_SETUP_ARCHIVE` */
export function requireInside({ name, mode }: Pick<ArchiveEntry, "name" | "mode">): void {
  const parts = name.split("/");
  const odd =
    name === "" || /[\\\0:]/.test(name) || parts.some((part) => part === "" || part === "." || part === "..");
  const kind = mode & 0o170000;
  if (odd) throw broken(`it names a file outside of its folder, ${JSON.stringify(name)}`);
  if (kind !== 0 && kind !== 0o100000) throw broken(`${name} is a link or a device`);
}

/**
 * Unpacks the entries that are wanted into a folder. Every name is checked, also of those that aren't.
 *
 * @throws `ERR_SETUP_ARCHIVE`, and errors of the file system
 */
export async function unpack(
  archive: string,
  folder: string,
  wanted: (name: string) => boolean,
  {
    signal = null,
    onFile,
  }: { signal?: AbortSignal | null; onFile?: (done: number, total: number) => void } = {},
): Promise<string[]> {
  const file = await open(archive, "r");
  try {
    const files = (await listEntries(file)).filter(({ name }) => !name.endsWith("/"));
    for (const entry of files) requireInside(entry);
    const chosen = files.filter(({ name }) => wanted(name));
    for (const [at, entry] of chosen.entries()) {
      signal?.throwIfAborted();
      onFile?.(at, chosen.length);
      await unpackOne(file, entry, path.join(folder, ...entry.name.split("/")), signal);
    }
    return chosen.map(({ name }) => name);
  } finally {
    await file.close();
  }
}

async function unpackOne(
  file: FileHandle,
  entry: ArchiveEntry,
  target: string,
  signal: AbortSignal | null,
): Promise<void> {
  const header = await bytes(file, entry.offset, 30);
  if (header.readUInt32LE(0) !== LOCAL) throw broken(`${entry.name} is damaged`);
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (entry.method !== 0 && entry.method !== 8) throw broken(`${entry.name} is packed in an unknown way`);
  await mkdir(path.dirname(target), { recursive: true });
  let sum = 0;
  let length = 0;
  const checked = new Transform({
    transform(chunk: Buffer, _, done) {
      length += chunk.length;
      sum = crc32(chunk, sum);
      done(length > entry.size ? broken(`${entry.name} is longer than it says`) : null, chunk);
    },
  });
  async function* packed(): AsyncGenerator<Buffer> {
    for (let at = 0; at < entry.packed; ) {
      const chunk = await bytes(file, start + at, Math.min(2 ** 20, entry.packed - at));
      at += chunk.length;
      yield chunk;
    }
  }
  const steps = entry.method === 8 ? [createInflateRaw(), checked] : [checked];
  try {
    // "wx": two entries with one name are an error.
    await pipeline(
      [Readable.from(packed(), { objectMode: false }), ...steps, createWriteStream(target, { flags: "wx" })],
      { signal: signal ?? undefined },
    );
  } catch (cause) {
    if (signal?.aborted || cause instanceof TorchSearchError) throw cause;
    const { code = "", message } = cause as NodeJS.ErrnoException;
    if (/^(ENOSPC|EACCES|EROFS|EDQUOT|EIO)$/.test(code)) throw cause;
    throw broken(`${entry.name} is damaged (${message})`);
  }
  if (length !== entry.size || sum !== entry.crc) throw broken(`${entry.name} is damaged`);
  if ((entry.mode & 0o111) !== 0) await chmod(target, 0o755);
}
