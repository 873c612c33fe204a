/** Files that a command reads: that they exist, and that they are what the command takes. */

import { existsSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import path from "node:path";
import { type Checkpoint, readCheckpoint } from "../contract/checkpoint";
import { TorchSearchError } from "../errors";
import { stemOf } from "../model/file-format";

/** Refuses names of files that don't exist, before anything is loaded. @throws `ERR_FILE_NOT_FOUND` naming the first */
export function requireFiles(files: Readonly<Record<string, readonly (string | null)[]>>): void {
  for (const [what, names] of Object.entries(files)) {
    for (const name of names) {
      if (name === null) continue;
      const file = fileOf(name);
      if (!existsSync(file)) throw missing(what, file);
    }
  }
}

/** The file of `name=file.npy`, or of a plain path. */
function fileOf(entry: string): string {
  return existsSync(entry) ? entry : (/^\w+=(.+\.npy)$/.exec(entry)?.[1] ?? entry);
}

function missing(what: string, file: string): TorchSearchError {
  return new TorchSearchError("ERR_FILE_NOT_FOUND", `${what} ${file} does not exist.`);
}

/**
 * Reads the checkpoint of a search.
 *
 * @throws `ERR_FILE_NOT_FOUND`; `ERR_CHECKPOINT_CORRUPT` for another kind of file, saying which; as `readCheckpoint`
 */
export async function readSearchCheckpoint(file: string): Promise<Checkpoint> {
  requireFiles({ Checkpoint: [file] });
  if (await isArchive(file)) {
    const beside = `${stemOf(file)}.search.safetensors`;
    const advice = existsSync(beside)
      ? `Its checkpoint is ${beside}.`
      : "Name a file that torchsearch wrote (*.search.safetensors).";
    const what = /\.pt2?$/i.test(file) ? "a model" : "an archive, such as a model or .npz data";
    throw new TorchSearchError(
      "ERR_CHECKPOINT_CORRUPT",
      `${path.basename(file)} is ${what}, not a checkpoint. ${advice}`,
    );
  }
  const checkpoint = await readCheckpoint(file);
  if (checkpoint === null) throw missing("Checkpoint", file);
  return checkpoint;
}

/** Whether a file is a zip archive, as models and .npz files are. */
async function isArchive(file: string): Promise<boolean> {
  // Opening a pipe would wait for its writer.
  if (!(await stat(file)).isFile()) return false;
  const handle = await open(file, "r").catch(() => null);
  if (handle === null) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString("latin1") === "PK\x03\x04";
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}
