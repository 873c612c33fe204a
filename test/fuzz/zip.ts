/** Zip archives that are read with their positions, and written with whatever sizes and names one wants. */
import { crc32, deflateRawSync, inflateRawSync } from "node:zlib";

export interface ZipEntry {
  /** Latin-1, so that any byte can be in it. */
  name: string;
  data: Buffer;
  deflate?: boolean;
  /** The size that the archive claims instead of the true one. */
  claim?: number;
}

/** An entry of an archive that was read, with its positions in the file. */
export interface FoundEntry extends ZipEntry {
  /** Where its bytes begin, and how many there are in the file. */
  at: number;
  stored: number;
  /** Where its local header begins. */
  local: number;
}

export interface Zip {
  entries: FoundEntry[];
  /** Where the central directory begins. */
  directory: number;
}

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MAX_32 = 0xffffffff;

export function readZip(bytes: Buffer): Zip {
  let end = bytes.length - 22;
  while (bytes.readUInt32LE(end) !== END) end--;
  const directory = bytes.readUInt32LE(end + 16);
  const entries: FoundEntry[] = [];
  for (let i = 0, at = directory; i < bytes.readUInt16LE(end + 10); i++) {
    const nameLength = bytes.readUInt16LE(at + 28);
    const stored = bytes.readUInt32LE(at + 20);
    const local = bytes.readUInt32LE(at + 42);
    const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const raw = bytes.subarray(begin, begin + stored);
    const deflate = bytes.readUInt16LE(at + 10) === 8;
    entries.push({
      name: bytes.toString("latin1", at + 46, at + 46 + nameLength),
      data: deflate ? inflateRawSync(raw) : raw,
      deflate,
      at: begin,
      stored,
      local,
    });
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return { entries, directory };
}

export function writeZip(entries: readonly ZipEntry[]): Buffer {
  const body: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name: text, data, deflate = false, claim } of entries) {
    const name = Buffer.from(text, "latin1");
    const stored = deflate ? deflateRawSync(data) : data;
    const size = claim ?? data.length;
    const extra = size > MAX_32 ? zip64(size, stored.length) : Buffer.alloc(0);
    const common = (header: Buffer, from: number): void => {
      header.writeUInt16LE(20, from);
      header.writeUInt16LE(deflate ? 8 : 0, from + 4);
      header.writeUInt32LE(crc32(data), from + 10);
      header.writeUInt32LE(extra.length > 0 ? MAX_32 : stored.length, from + 14);
      header.writeUInt32LE(Math.min(size, MAX_32), from + 18);
      header.writeUInt16LE(name.length, from + 22);
    };
    const local = Buffer.alloc(30);
    local.writeUInt32LE(LOCAL, 0);
    common(local, 4);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(CENTRAL, 0);
    entry.writeUInt16LE(20, 4);
    common(entry, 6);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE(at, 42);
    body.push(local, name, stored);
    central.push(entry, name, extra);
    at += local.length + name.length + stored.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...body, directory, end]);
}

/** The extra field of sizes that 32 bits don't hold. */
function zip64(size: number, stored: number): Buffer {
  const extra = Buffer.alloc(20);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(16, 2);
  extra.writeBigUInt64LE(BigInt(size), 4);
  extra.writeBigUInt64LE(BigInt(stored), 12);
  return extra;
}
