/** Knowing data again by their content, so that a checkpoint never goes on with other data under the same path. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";

import { TorchSearchError } from "../errors";
import { isRecord } from "../util/check";

/** One file or folder of the data, as a checkpoint records it. */
export interface DataDigest {
  /** As the request names it. */
  file: string;
  /** SHA-256 of the content. */
  digest: string;
  /** Sizes, times (of content and inode) and inodes of the files: while these are the same, the content isn't read again. */
  stamp: string;
}

/** Folders with more bytes than this are known by the names and sizes of all files, and the content of some. */
const WHOLE_BYTES = 2 ** 31;
/** How many files of such a folder are read, evenly spread over their names. */
const SAMPLED_FILES = 512;

interface FileFacts {
  /** Relative to the folder; empty for a file on its own. */
  name: string;
  file: string;
  size: number;
  stamp: string;
}

/**
 * The digests of a request's data.
 *
 * @param known earlier digests; the content of what has the same stamp is not read again
 * @returns null where something can't be read, which opening the data reports
 */
export async function digestData(
  entries: readonly string[],
  known: readonly DataDigest[] | null,
  signal?: AbortSignal,
): Promise<DataDigest[] | null> {
  try {
    const digests: DataDigest[] = [];
    for (const file of entries) {
      const files = await filesOf(file.replace(/^\w+=(?=.+\.npy$)/, ""));
      const stamp = hashOf(files.map((each) => each.stamp));
      const earlier = known?.find((each) => each.file === file && each.stamp === stamp);
      digests.push({ file, stamp, digest: earlier?.digest ?? (await contentDigest(files, signal)) });
    }
    return digests;
  } catch (error) {
    if (signal?.aborted) throw error;
    return null;
  }
}

/** The digests that a checkpoint's annotations have; null where an earlier version wrote them. */
export function recordedDigests(annotations: unknown): DataDigest[] | null {
  const found = isRecord(annotations) ? annotations.data : null;
  return Array.isArray(found) ? (found as DataDigest[]) : null;
}

/** Refuses to go on when data changed under the same path. @throws `ERR_DATA_CHANGED` */
export function requireSameData(
  checkpoint: string,
  recorded: readonly DataDigest[],
  present: readonly DataDigest[],
): void {
  const changed = present.filter(({ file, digest }) =>
    recorded.some((each) => each.file === file && each.digest !== digest),
  );
  if (changed.length === 0) return;
  throw new TorchSearchError(
    "ERR_DATA_CHANGED",
    `${changed.map(({ file }) => file).join(", ")} changed since ${checkpoint} was written: its scores are of other data. ` +
      "Restore the data, name another --checkpoint, or delete it to start anew.",
  );
}

async function filesOf(root: string): Promise<FileFacts[]> {
  const facts = async (name: string): Promise<FileFacts> => {
    const file = name === "" ? root : path.join(root, name);
    // The time of a change can be set back, that of the inode can't.
    const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true });
    return { name, file, size: Number(size), stamp: `${name}\0${size}\0${mtimeNs}\0${ctimeNs}\0${ino}` };
  };
  if (!(await stat(root)).isDirectory()) return [await facts("")];
  const names = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((each) => !each.isDirectory())
    .map((each) => path.relative(root, path.join(each.parentPath, each.name)))
    .sort();
  const found: FileFacts[] = [];
  for (const name of names) found.push(await facts(name));
  return found;
}

async function contentDigest(files: readonly FileFacts[], signal?: AbortSignal): Promise<string> {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const step = files.length > 1 && bytes > WHOLE_BYTES ? Math.ceil(files.length / SAMPLED_FILES) : 1;
  const hash = createHash("sha256");
  for (const [at, { name, file, size }] of files.entries()) {
    hash.update(`${name.split(path.sep).join("/")}\0${size}\0`);
    if (at % step !== 0) continue;
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20, signal })) hash.update(chunk);
  }
  return hash.digest("hex");
}

function hashOf(parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\n");
  return hash.digest("hex");
}
