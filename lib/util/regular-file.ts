/** Reading files that people name: a pipe or a device may have no end, and is refused. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

// Without waiting for a pipe's writer.
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

function requireRegular(info: Stats): void {
  if (info.isDirectory()) throw new Error("it is a folder");
  if (!info.isFile()) throw new Error("it is not a file, but a pipe or a device");
}

/** Opens a regular file for reading. Other errors are the file system's. */
export async function openRegularFile(file: string): Promise<FileHandle> {
  const handle = await open(file, READ);
  try {
    requireRegular(await handle.stat());
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The bytes of a regular file. */
export async function readRegularFile(file: string): Promise<Buffer> {
  const handle = await openRegularFile(file);
  try {
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** The text of a small regular file, read at once. */
export function readRegularTextSync(file: string): string {
  const descriptor = openSync(file, READ);
  try {
    requireRegular(fstatSync(descriptor));
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}
