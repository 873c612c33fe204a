/** Writing files so that a crash leaves either the old file or the new one. */
import { link, mkdir, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import path from "node:path";
import { threadId } from "node:worker_threads";

import { hasEnded, placeOfProcesses } from "./process-place";

let counter = 0;

/** How {@link writeFileAtomic} treats the earlier file. */
export interface AtomicWriteOptions {
  /** Whether the earlier file is kept beside the new one, as {@link previousOf} names it. */
  keepPrevious?: boolean;
}

/** The name of the generation before the present one. */
export function previousOf(file: string): string {
  return `${file}.previous`;
}

/**
 * Writes the chunks in order to a temporary file in the same folder, flushes it to the disk, renames it to the final
 * name and flushes the folder. A crash or failure at any moment leaves an earlier file intact. Temporary files of
 * processes that were killed are removed. Errors of the file system are thrown as they are.
 */
export async function writeFileAtomic(
  file: string,
  chunks: readonly Uint8Array[],
  { keepPrevious = false }: AtomicWriteOptions = {},
): Promise<void> {
  await requireNothingElse(file);
  await removeLeftovers(file);
  const temporary = temporaryName(file);
  try {
    const handle = await open(temporary, "wx", 0o644);
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (keepPrevious) await keep(file);
    await rename(temporary, file);
  } catch (error) {
    await unlink(temporary).catch(() => {}); // it may not exist yet
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/** Gives the present file a second name, so that there is one of its own name all the time. */
async function keep(file: string): Promise<void> {
  const other = temporaryName(file);
  try {
    await link(file, other);
    await rename(other, previousOf(file));
  } catch {
    // There is no earlier file, or the file system has no second names: then there is no earlier generation.
    await unlink(other).catch(() => {});
  }
}

/**
 * Makes sure that a file can be written: creates its folder if it is missing, then creates and removes a temporary
 * file. Also removes temporary files that killed processes left.
 */
export async function requireWritable(file: string): Promise<void> {
  const folder = path.dirname(file);
  await mkdir(folder, { recursive: true });
  await requireNothingElse(file);
  const temporary = temporaryName(file);
  const handle = await open(temporary, "wx", 0o644);
  await handle.close();
  await unlink(temporary);
  await removeLeftovers(file);
}

/** Refuses to replace a device such as /dev/null by a file, which root could do. */
async function requireNothingElse(file: string): Promise<void> {
  const existing = await stat(file).catch(() => null);
  if (existing?.isDirectory()) throw new Error("it is a folder");
  if (existing !== null && !existing.isFile()) throw new Error("it exists and is not a file");
}

function temporaryName(file: string): string {
  counter += 1;
  const name = `${prefixOf(file)}${placeOfProcesses()}-${process.pid}-${threadId}-${counter}.tmp`;
  return path.join(path.dirname(file), name);
}

function prefixOf(file: string): string {
  return `.${path.basename(file)}.`;
}

/** Removes the temporary files of processes that have ended; of those that can't be asked, after an hour. */
async function removeLeftovers(file: string): Promise<void> {
  const hourAgo = Date.now() - 3_600_000;
  for (const { leftover, ended, changed } of await leftoversOf(file))
    if (ended || changed < hourAgo) await unlink(leftover).catch(() => {});
}

/** What stands beside a file under its temporary names, and whether the process that made it has ended. */
async function leftoversOf(file: string): Promise<{ leftover: string; ended: boolean; changed: number }[]> {
  const folder = path.dirname(file);
  const found = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefixOf(file))) continue;
    // Earlier versions wrote no place.
    const parts = /^(?:([0-9a-f]{8})-)?(\d+)(?:-\d+)?-\d+\.tmp$/.exec(name.slice(prefixOf(file).length));
    if (parts === null) continue;
    const leftover = path.join(folder, name);
    const info = await stat(leftover).catch(() => null);
    if (info === null) continue;
    const ended = hasEnded({ place: parts[1] ?? "", pid: Number(parts[2]), started: "" });
    found.push({ leftover, ended, changed: info.mtimeMs });
  }
  return found;
}

/**
 * Makes a folder beside a file, for what is needed until that is written. Whoever makes it removes it; folders of
 * processes that were killed are removed here. Errors of the file system are thrown as they are.
 */
export async function makeScratchFolder(file: string): Promise<string> {
  for (const { leftover, ended } of await leftoversOf(file))
    if (ended) await rm(leftover, { recursive: true, force: true }).catch(() => {});
  const folder = temporaryName(file);
  await mkdir(folder, { mode: 0o700 });
  return folder;
}

async function syncFolder(folder: string): Promise<void> {
  // Windows can't open a folder, so nothing more than the rename is possible there.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
