/** Locks of files against other processes: a file beside them that names the process. */
import { link, rename, unlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { threadId } from "node:worker_threads";

import { hasEnded, type ProcessMark, placeOfProcesses, thisProcess } from "./process-place";
import { readRegularFile } from "./regular-file";

/** What {@link lockFile} gives: call `release` when the file isn't used any more. */
export interface FileLock {
  release(): Promise<void>;
}

/** Another process, or another part of this one, has the file. */
export interface LockHolder {
  /** The file that holds the lock. */
  lock: string;
  /** Null where the lock's file can't be read. */
  holder: ProcessMark | null;
}

let counter = 0;

/** The name of a file's lock. */
export function lockOf(file: string): string {
  return `${file}.lock`;
}

/**
 * Locks a file, or says who has it. A lock of a process that has ended is taken over. Errors of the file system are
 * thrown as they are.
 */
export async function lockFile(file: string): Promise<FileLock | LockHolder> {
  const lock = lockOf(file);
  const own = JSON.stringify(thisProcess());
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await written(lock, own)) return { release: () => unlink(lock).catch(() => {}) };
    const found = await textOf(lock);
    if (found === null) continue; // just released
    const holder = holderOf(found);
    if (holder === null || !hasEnded(holder)) return { lock, holder };
    await remove(lock, found);
  }
  return { lock, holder: null };
}

/** Null where there is none, or what is there is no file. */
async function textOf(lock: string): Promise<string | null> {
  const bytes = await readRegularFile(lock).catch(() => null);
  return bytes?.toString("utf8") ?? null;
}

/** Writes the lock unless there is one. It appears with its contents, so that none is left without by a kill. */
async function written(lock: string, text: string): Promise<boolean> {
  const aside = nameAside(lock);
  try {
    await writeNew(aside, text);
    await link(aside, lock).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") throw error;
      return writeNew(lock, text); // a file system without second names
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await unlink(aside).catch(() => {});
  }
}

async function writeNew(file: string, text: string): Promise<void> {
  await writeFile(file, text, { flag: "wx", mode: 0o644 });
}

function nameAside(lock: string): string {
  counter += 1;
  const thread = `${process.pid}-${threadId}-${counter}`;
  return path.join(path.dirname(lock), `.${path.basename(lock)}.${placeOfProcesses()}-${thread}`);
}

/** Removes a lock that was left behind; one that another process has taken meanwhile is put back. */
async function remove(lock: string, left: string): Promise<void> {
  const aside = nameAside(lock);
  try {
    await rename(lock, aside);
  } catch {
    return; // another process was faster
  }
  const taken = (await textOf(aside)) ?? left;
  if (taken === left) await unlink(aside).catch(() => {});
  else await rename(aside, lock).catch(() => {});
}

function holderOf(text: string): ProcessMark | null {
  try {
    const { place, pid, started } = JSON.parse(text) as Record<string, unknown>;
    if (typeof place !== "string" || typeof started !== "string" || !Number.isSafeInteger(pid)) return null;
    return { place, pid: pid as number, started };
  } catch {
    return null;
  }
}
