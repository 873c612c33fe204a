/** Rating the outcome of a search on data that the search did not use. */

import type { Module } from "../model/module";
import { listed } from "../util/listed";
import { BatchRange, splitBatches } from "./batch-range";
import { openFitting } from "./fitting-data";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import type { SearchRequest } from "./request";
import { type ChosenScore, chooseScore, type ScoredBatches } from "./search-scores";

/** Data that the search does not use. */
export interface HeldOut {
  /** Number of samples. */
  samples: number;
  score: ChosenScore;
  /** What is scored. */
  scored: ScoredBatches;
  close(): void;
}

/**
 * The request of the search itself, which leaves out the last batches when some are held out.
 *
 * @throws `ERR_CLI_OPTION` when there are too few batches
 */
export function withoutHeldOut(request: SearchRequest, { loader }: OpenData): SearchRequest {
  if (request.holdout === null) return request;
  const { batches } = splitBatches(request.holdout, loader, request.batchSize).used;
  const most = (asked: number | null): number => Math.min(asked ?? batches, batches);
  const calibrationBatches = request.calibrationBatches === null ? null : most(request.calibrationBatches);
  return { ...request, maxBatches: most(request.maxBatches), calibrationBatches };
}

/** Opens the data that the outcome is rated on; null where the request has none. @throws as {@link openData} */
export async function openHeldOut(
  request: SearchRequest,
  data: OpenData,
  full: Module,
  say: (line: string) => void,
): Promise<HeldOut | null> {
  const whole = { ...request, maxBatches: null };
  if (request.holdout !== null) {
    const { heldOut: range, samples } = splitBatches(request.holdout, data.loader, request.batchSize);
    const score = await chooseScore(whole, { ...data, loader: range }, full, say);
    return { samples, score, scored: { data, range, samples }, close: () => {} };
  }
  if (request.evalData === null) return null;
  const other = await openFitting(
    {
      ...request,
      data: request.evalData,
      inputArrays: request.evalInputArrays,
      targetArray: request.evalTargetArray,
      shuffle: false,
    },
    full,
    "eval",
    say,
  );
  if (request.evalData.join() === request.data.join() && other.inputs.join() === data.inputs.join()) {
    other.loader.close();
    throw badOption(
      `--eval-data has the arrays that the search itself uses (${listed(data.inputs)}): name others, or use --holdout.`,
    );
  }
  const { loader } = other;
  const { samples } = loader;
  return {
    samples,
    score: await chooseScore(whole, other, full, say),
    scored: { data: other, range: new BatchRange(loader, 0, loader.batches), samples },
    close: () => loader.close(),
  };
}
