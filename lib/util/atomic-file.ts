/** Files that are either the old one or the new one, whatever happens in between. */
import { mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import path from "node:path";

let counter = 0;

/**
 * Writes the chunks one after the other to a temporary file in the same folder, flushes it to the disk, gives it the
 * final name and flushes the folder. A crash or failure at any moment leaves an earlier file intact. Errors of the
 * file system come through as they are.
 */
export async function writeFileAtomic(file: string, chunks: readonly Uint8Array[]): Promise<void> {
  await requireNothingElse(file);
  const temporary = temporaryName(file);
  try {
    const handle = await open(temporary, "wx", 0o644);
    try {
      for (const chunk of chunks) await handle.writeFile(chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await unlink(temporary).catch(() => {}); // it may never have been made
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/**
 * Makes sure that a file can be written: its folder is made where it's missing, and a temporary file is made and
 * removed again. Leftovers of writers that were killed more than an hour ago are removed on the way.
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

/** A device such as /dev/null is not to be replaced by a file, which root could do. */
async function requireNothingElse(file: string): Promise<void> {
  const existing = await stat(file).catch(() => null);
  if (existing?.isDirectory()) throw new Error("it is a folder");
  if (existing !== null && !existing.isFile()) throw new Error("it exists and is not a file");
}

function temporaryName(file: string): string {
  counter += 1;
  return path.join(path.dirname(file), `${prefixOf(file)}${process.pid}-${counter}.tmp`);
}

function prefixOf(file: string): string {
  return `.${path.basename(file)}.`;
}

async function removeLeftovers(file: string): Promise<void> {
  const folder = path.dirname(file);
  const hourAgo = Date.now() - 3_600_000;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefixOf(file)) || !/^\d+-\d+\.tmp$/.test(name.slice(prefixOf(file).length)))
      continue;
    const leftover = path.join(folder, name);
    const info = await stat(leftover).catch(() => null);
    if (info !== null && info.mtimeMs < hourAgo) await unlink(leftover).catch(() => {});
  }
}

async function syncFolder(folder: string): Promise<void> {
  // Windows can't open a folder; there the rename itself is as durable as it gets.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
