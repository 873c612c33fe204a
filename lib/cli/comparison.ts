/** Ratings before and after a search, and how far they differ by chance. */
import type { Module } from "../model/module";
import type { SearchRequest } from "./request";
import { type ChosenScore, chooseScore, type Ratings, type ScoredBatches } from "./search-scores";

/** A rating of the full model and of the result. */
export interface Compared {
  before: number;
  after: number;
  /**
   * The standard error of the difference, since the samples are a sample of all data; null where it can't be estimated.
   */
  noise: number | null;
  /** The rating after training; only where the search trained its result. */
  finetuned?: number;
}

/** Score and accuracy; null without labels, and where the score is the accuracy itself. */
export interface ComparedRatings {
  score: Compared;
  accuracy: Compared | null;
}

/** Batches that the noise of a score is estimated from at most. */
const MOST_BATCHES = 32;

/** Compares ratings on the same samples. */
export async function compareRatings(
  request: SearchRequest,
  { score: chosen, scored }: { score: ChosenScore; scored: ScoredBatches },
  { before, after }: { before: Ratings; after: Ratings },
  models: { full: Module; subnet: Module; signal: AbortSignal },
): Promise<ComparedRatings> {
  const { samples } = scored;
  const noise =
    chosen.name === "accuracy"
      ? shareNoise(before.score, after.score, samples)
      : await batchNoise(request, chosen, scored, models);
  return {
    score: { before: before.score, after: after.score, noise },
    accuracy:
      before.accuracy === null || after.accuracy === null
        ? null
        : {
            before: before.accuracy,
            after: after.accuracy,
            noise: shareNoise(before.accuracy, after.accuracy, samples),
          },
  };
}

/**
 * The standard error of the difference of two shares of the same number of samples, by the binomial distribution. That
 * both are shares of the same samples makes the true one smaller.
 */
export function shareNoise(before: number, after: number, samples: number): number {
  return Math.sqrt((before * (1 - before) + after * (1 - after)) / samples);
}

/** The standard error of the mean difference over batches, which are paired; null for a single batch. */
async function batchNoise(
  request: SearchRequest,
  { name }: ChosenScore,
  { data, range }: ScoredBatches,
  { full, subnet, signal }: { full: Module; subnet: Module; signal: AbortSignal },
): Promise<number | null> {
  if (range.batches < 2) return null;
  const named = { ...request, score: name, maxBatches: null };
  const differences: number[] = [];
  for (let at = 0; at < Math.min(range.batches, MOST_BATCHES); at++) {
    const { score } = await chooseScore(named, { ...data, loader: range.only(at) }, full, () => {});
    differences.push((await score(subnet, { signal })) - (await score(full, { signal })));
  }
  return standardError(differences, range.batches);
}

/** The standard error of the mean of `count` values, of which some are known. */
export function standardError(values: readonly number[], count: number): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / count);
}

/** Whether a rating fell by more than its noise. */
export function fell({ before, after, noise }: Compared): boolean {
  return before - after > (noise ?? 0);
}
