/** Reading files that people name: a pipe or a device may have no end, and is refused. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Opens a regular file for reading, without waiting for a pipe's writer. Other errors are the file system's. */
export async function openRegularFile(file: string): Promise<FileHandle> {
  const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const info = await handle.stat();
    if (info.isDirectory()) throw new Error("it is a folder");
    if (!info.isFile()) throw new Error("it is not a file, but a pipe or a device");
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
