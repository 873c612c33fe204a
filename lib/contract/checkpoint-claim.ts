/** A checkpoint's file while a search or training uses it: no other process writes it. */
import { forgetPrevious, unwritable } from "../data/checkpoint-file";
import { TorchSearchError } from "../errors";
import { requireWritable } from "../util/atomic-file";
import { type FileLock, lockFile } from "../util/file-lock";

/** A checkpoint's file that this run alone writes. */
export interface CheckpointClaim {
  /** Lets others use the file. After a run that ended well, its last file is the only generation that is kept. */
  release(ended: "well" | "early"): Promise<void>;
}

/**
 * Claims a path for checkpoints, before a search spends hours on a state that it then can't save. Creates the folder if
 * it is missing. The claim of a process that has ended is taken over.
 *
 * @throws `ERR_CHECKPOINT_WRITE`, `ERR_CHECKPOINT_IN_USE`
 */
export async function claimCheckpoint(file: string): Promise<CheckpointClaim> {
  const lock = await locked(file);
  return {
    release: async (ended) => {
      if (ended === "well") await forgetPrevious(file);
      await lock.release();
    },
  };
}

async function locked(file: string): Promise<FileLock> {
  let found: Awaited<ReturnType<typeof lockFile>>;
  try {
    await requireWritable(file);
    found = await lockFile(file);
  } catch (error) {
    throw unwritable(file, error);
  }
  if ("release" in found) return found;
  const { lock, holder } = found;
  const who =
    holder === null
      ? "another process"
      : holder.pid === process.pid
        ? "another search of this process"
        : `process ${holder.pid}`;
  throw new TorchSearchError(
    "ERR_CHECKPOINT_IN_USE",
    `Checkpoint ${file} is in use by ${who}. Wait until that ends, or name another checkpoint file. If no process uses ` +
      `it, remove ${lock}.`,
  );
}
