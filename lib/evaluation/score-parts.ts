/**
 * Scores that can be measured some batches at a time, in several processes: the parts of all batches, in order, make the
 * same number as one pass.
 */
import { BatchRange } from "../data/batch-range";
import type { DataSource } from "../data/data-source";
import { ImageFolderLoader } from "../data/image-folder";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import type { RunContext, ScoreFunction, SearchModel } from "./types";

/** What one batch adds: a sum in the score's unit, and what the mean is taken over. */
export type ScorePart = [sum: number, count: number];

/** How a score is measured by parts. */
export interface PartedScore {
  /** Batches of a pass. */
  readonly batches: number;
  /** The parts of the batches from `first` to `end - 1`. */
  measure(model: SearchModel, context: RunContext, first: number, end: number): Promise<ScorePart[]>;
  /** The score, from the parts of all batches in order. @throws as the score itself, where nothing counted */
  combine(parts: readonly ScorePart[]): number;
}

const PARTS = Symbol("parts");

type Parted = ScoreFunction & { [PARTS]?: () => PartedScore | null };

/** Adds to a score how it is measured by parts; null where it can't be. */
export function withParts(score: ScoreFunction, parts: () => PartedScore | null): ScoreFunction {
  return Object.assign(score, { [PARTS]: parts });
}

/** How a score is measured by parts; null where it can only be measured as a whole. */
export function partsOf(score: ScoreFunction | null): PartedScore | null {
  return (score as Parted | null)?.[PARTS]?.() ?? null;
}

/** Any batch of a source, made anew; null for a source that only goes from batch to batch. */
export function batchesOf(
  source: DataSource,
  maxBatches: number | null,
): { count: number; use<T>(at: number, step: (batch: unknown) => Promise<T>): Promise<T> } | null {
  const known =
    source instanceof BatchRange || source instanceof TensorDataLoader || source instanceof ImageFolderLoader;
  if (!known) return null;
  const [loader, offset] = source instanceof BatchRange ? [source.loader, source.first] : [source, 0];
  return {
    count: Math.min(source.batches, maxBatches ?? source.batches),
    async use(at, step) {
      const batch = await loader.batch(offset + at);
      try {
        return await step(batch);
      } finally {
        closeTensors(batch);
      }
    },
  };
}

/** `count` items in so many ranges of neighbours, whose sizes differ by at most one. */
export function rangesOf(count: number, ranges: number): [first: number, end: number][] {
  const parts = Math.max(1, Math.min(count, ranges));
  return Array.from({ length: parts }, (_, i) => [
    Math.floor((i * count) / parts),
    Math.floor(((i + 1) * count) / parts),
  ]);
}
