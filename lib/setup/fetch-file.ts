/** Fetching a large file: continued where it stopped, and used only when its hash is right. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { TorchSearchError } from "../errors";
import type { ProgressListener } from "../util/progress";
import { type IndexFile, request } from "./python-index";

/** How a download is followed and stopped. */
export interface FetchControl {
  signal: AbortSignal | null;
  onProgress: ProgressListener | null;
}

/** Hexadecimal SHA-256 of a file. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

/** The parts that downloads of this process write. */
const writing = new Set<string>();
let counter = 0;

/**
 * Fetches a file into a folder. What an interrupted download has written stays as `HASH.PROCESS-N.part`, and is continued
 * by the next one; a file with the wrong hash is deleted. Downloads at the same time don't share a part.
 *
 * @returns its path; the caller removes it
 * @throws `ERR_DOWNLOAD`, `ERR_DOWNLOAD_HASH`; what an abort of the signal throws
 */
export async function fetchFile(file: IndexFile, folder: string, control: FetchControl): Promise<string> {
  const { sha256 } = file;
  if (sha256 === null) {
    throw new TorchSearchError(
      "ERR_DOWNLOAD_HASH",
      `The index gives no SHA-256 of ${file.name}, so it can't be checked. Use an index that does.`,
    );
  }
  await mkdir(folder, { recursive: true });
  const part = await claimPart(folder, sha256);
  try {
    const start = await sizeOf(part);
    // A server that knows no ranges, or a part that is longer than the file, begins anew.
    if (!(await receive(file, part, start, control)) && (await sha256Of(part)) !== sha256) {
      await rm(part, { force: true });
      await receive(file, part, 0, control);
    }
    const found = await sha256Of(part);
    if (found === sha256) return part;
    await rm(part, { force: true });
    throw new TorchSearchError(
      "ERR_DOWNLOAD_HASH",
      `${file.name} is not the file that the index promises (SHA-256 ${found}, and not ${sha256}); it was deleted. Try again, ` +
        "or use another index.",
    );
  } finally {
    writing.delete(part);
  }
}

/** A part of this process: one that was left of an interrupted download, if there is any. */
async function claimPart(folder: string, sha256: string): Promise<string> {
  counter += 1;
  const mine = path.join(folder, `${sha256}.${process.pid}-${counter}.part`);
  writing.add(mine);
  for (const name of await readdir(folder)) {
    const owner = new RegExp(`^${sha256}\\.(\\d+)-\\d+\\.part$`).exec(name)?.[1];
    const left = path.join(folder, name);
    if (owner === undefined || writing.has(left) || (Number(owner) !== process.pid && isAlive(Number(owner))))
      continue;
    try {
      await rename(left, mine);
      break;
    } catch {
      // Another process was faster.
    }
  }
  return mine;
}

function isAlive(process_: number): boolean {
  try {
    process.kill(process_, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** Receives what is missing from `start` on; false where it must begin anew. */
async function receive(
  file: IndexFile,
  part: string,
  start: number,
  { signal, onProgress }: FetchControl,
): Promise<boolean> {
  const range = start > 0 && { range: `bytes=${start}-` };
  const response = await request(file.url, { ...(range || {}), "accept-encoding": "identity" }, signal);
  if (start > 0 && response.status === 416) {
    await response.body?.cancel();
    return false;
  }
  if (!response.ok || response.body === null) {
    throw new TorchSearchError(
      "ERR_DOWNLOAD",
      `${file.name} can't be fetched: the server answered ${response.status}.`,
    );
  }
  const continued = response.status === 206;
  const from = continued ? start : 0;
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  const total = Number.isFinite(length) ? from + length : null;
  let done = from;
  const counted = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      done += chunk.length;
      onProgress?.({ phase: "download", done, total, message: file.name });
      yield chunk;
    }
  };
  try {
    await pipeline(
      Readable.fromWeb(response.body as never),
      counted,
      createWriteStream(part, { flags: continued ? "a" : "w" }),
      { signal: signal ?? undefined },
    );
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw interrupted(file, done, total, cause);
  }
  if (total !== null && done !== total) throw interrupted(file, done, total);
  return true;
}

function interrupted(file: IndexFile, done: number, total: number | null, cause?: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_DOWNLOAD",
    `${file.name} broke off after ${done} of ${total ?? "unknown"} bytes. Run the same command again: it continues from there.`,
    { cause },
  );
}
