/** Writing files so that a crash leaves either the old file or the new one. */
import { mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import path from "node:path";

let counter = 0;

/**
 * Writes the chunks in order to a temporary file in the same folder, flushes it to the disk, renames it to the final
 * name and flushes the folder. A crash or failure at any moment leaves an earlier file intact. Errors of the file
 * system are thrown as they are.
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
    await unlink(temporary).catch(() => {}); // it may not exist yet
    throw error;
  }
  await syncFolder(path.dirname(file));
}

/**
 * Makes sure that a file can be written: creates its folder if it is missing, then creates and removes a temporary
 * file. Also removes temporary files that killed processes left more than an hour ago.
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
  // Windows can't open a folder, so nothing more than the rename is possible there.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
