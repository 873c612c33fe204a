/** Reading files that people name: a pipe or a device may have no end, and is refused. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { totalmem } from "node:os";

// Without waiting for a pipe's writer.
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Bytes that are read at a time. */
const PIECE = 1 << 22;

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

/** Refuses what no memory holds: a sparse file can be of any size. */
export function requireInMemory(bytes: number, what: string): void {
  if (bytes > totalmem())
    throw new Error(`${what} ${bytes} bytes, and this machine has ${totalmem()} bytes of memory`);
}

/** The bytes of a regular file. */
export async function readRegularFile(file: string): Promise<Buffer> {
  const handle = await openRegularFile(file);
  try {
    const { size } = await handle.stat();
    if (size === 0) return await handle.readFile(); // the kernel's own files don't tell their size
    requireInMemory(size, "it has");
    // `readFile` puts its pieces together in one go, which holds the event loop up with large files.
    const bytes = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (let read = 1; at < size && read > 0; at += read)
      read = (await handle.read(bytes, at, Math.min(PIECE, size - at), at)).bytesRead;
    return bytes.subarray(0, at);
  } finally {
    await handle.close();
  }
}

/** Bytes of a file that is read at once; Node itself ends the process where the memory for one runs out. */
const MOST_AT_ONCE = 1 << 28;

/** The text of a small regular file, read at once. */
export function readRegularTextSync(file: string): string {
  const descriptor = openSync(file, READ);
  try {
    const info = fstatSync(descriptor);
    requireRegular(info);
    if (info.size > MOST_AT_ONCE)
      throw new Error(`it has ${info.size} bytes, and ${MOST_AT_ONCE} are read at most`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}
