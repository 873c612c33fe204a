/** Where a search's checkpoint is: the config names a file, or a folder that holds one file for each rank. */
import { stat } from "node:fs/promises";
import path from "node:path";
import { isMaster, rank } from "./rank";

/** The file that this process reads, and whether it may write it. */
export interface CheckpointPlace {
  file: string;
  writable: boolean;
}

/**
 * Finds the checkpoint file that belongs to this process. A path is a folder when one exists there, when it ends in a
 * separator, or when it has no extension and nothing exists there. Each rank has a file of its own in a folder. A
 * file is written by rank 0 only, and read by all ranks.
 */
export async function placeOf(checkpoint: string): Promise<CheckpointPlace> {
  return (await isFolder(checkpoint))
    ? { file: path.join(checkpoint, `rank${rank()}.safetensors`), writable: true }
    : { file: checkpoint, writable: isMaster() };
}

async function isFolder(checkpoint: string): Promise<boolean> {
  if (checkpoint.endsWith("/") || checkpoint.endsWith(path.sep)) return true;
  // A path that can't be looked up can't be opened either: the caller's attempt gives the reason.
  const existing = await stat(checkpoint).catch(() => null);
  return existing === null ? path.extname(checkpoint) === "" : existing.isDirectory();
}
