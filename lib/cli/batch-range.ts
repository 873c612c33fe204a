/** Batches that are held out, as `--holdout` says it. */
import { type BatchedLoader, BatchRange } from "../data/batch-range";
import { badOption } from "./options/kinds";

export { BatchRange, trainingLoader } from "../data/batch-range";

/** How a share of the batches is held out: the last ones, and at least one. */
export interface Split {
  /** The batches that are used. */
  used: BatchRange;
  /** The batches that are held out. */
  heldOut: BatchRange;
  /** Samples that are held out. */
  samples: number;
}

/** Holds out a share of a loader's batches. @throws `ERR_CLI_OPTION` when there are too few batches */
export function splitBatches(share: number, loader: BatchedLoader, batchSize: number): Split {
  const kept = Math.max(1, Math.round(share * loader.batches));
  const end = loader.batches - kept;
  if (end < 1) {
    throw badOption(
      `--holdout keeps whole batches, and the data has ${loader.batches}: give more data, or a smaller --batch-size.`,
    );
  }
  return {
    used: new BatchRange(loader, 0, end),
    heldOut: new BatchRange(loader, end, loader.batches),
    // Only the last batch may be smaller.
    samples: loader.samples - end * batchSize,
  };
}
