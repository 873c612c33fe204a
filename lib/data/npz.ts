/** The .npz format of NumPy: a zip archive of .npy files. */
import { crc32 } from "node:zlib";
import { unzip } from "fflate";
import { TorchSearchError } from "../errors";
import { decodeNpy } from "./npy";
import type { RawTensor } from "./safetensors";

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
  let checksums: Map<string, number>;
  let entries: Record<string, Uint8Array>;
  try {
    checksums = readChecksums(bytes);
    entries = await extract(bytes, (name) => name.endsWith(".npy") && (wanted === null || wanted.has(name)));
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  }
  for (const [name, content] of Object.entries(entries)) {
    if (checksums.get(name) !== crc32(content)) throw damaged(file, `the checksum of ${name} is wrong`);
  }
  const available = [...checksums.keys()].map((name) => name.replace(/\.npy$/, ""));
  const arrays = new Map<string, RawTensor>();
  for (const key of keys ?? available) {
    const content = entries[`${key}.npy`];
    if (content === undefined) {
      if (keys === undefined) continue; // a member that is not an array
      throw new TorchSearchError(
        "ERR_DATA_KEYS",
        `${file} has no array "${key}"; it has ${available.join(", ") || "none"}.`,
      );
    }
    arrays.set(key, decodeNpy(content, `${file}:${key}`));
  }
  return arrays;
}

/** Names of the arrays in a .npz file's contents, in the order of the archive. @throws `ERR_DATA_FILE` */
export function listNpz(bytes: Uint8Array, file: string): string[] {
  try {
    return [...readChecksums(bytes).keys()]
      .filter((name) => name.endsWith(".npy"))
      .map((name) => name.replace(/\.npy$/, ""));
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error);
  }
}

function extract(bytes: Uint8Array, accept: (name: string) => boolean): Promise<Record<string, Uint8Array>> {
  return new Promise((resolve, reject) => {
    unzip(bytes, { filter: ({ name }) => accept(name) }, (error, entries) =>
      error ? reject(error) : resolve(entries),
    );
  });
}

/** CRC-32 of each member, from the archive's central directory: fflate does not compare them. */
function readChecksums(bytes: Uint8Array): Map<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  const lowest = Math.max(0, end - 0xffff);
  while (end >= lowest && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < lowest) throw new Error("it is not a zip archive, or was cut off");
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  const checksums = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== 0x02014b50) throw new Error("its directory is damaged");
    const nameLength = view.getUint16(at + 28, true);
    const name = Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString("utf8");
    checksums.set(name, view.getUint32(at + 16, true));
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return checksums;
}

function damaged(file: string, what: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError("ERR_DATA_FILE", `${file} can't be read as .npz: ${what}.`, { cause });
}
