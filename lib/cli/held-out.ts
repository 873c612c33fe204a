/** Rating the outcome of a search on data that the search did not use. */

import { OWNED_BATCHES } from "../data/data-source";
import type { Module } from "../model/module";
import { openFitting } from "./fitting-data";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import type { SearchRequest } from "./request";
import { type ChosenScore, chooseScore } from "./search-scores";

/** Data that the search does not use. */
export interface HeldOut {
  /** Number of samples. */
  samples: number;
  score: ChosenScore;
  close(): void;
}

type Loader = OpenData["loader"];

/** The last batches of a loader, from `first` on; each pass makes them anew. */
class LastBatches implements AsyncIterable<unknown> {
  readonly [OWNED_BATCHES] = true;
  readonly batches: number;

  constructor(
    readonly loader: Loader,
    readonly first: number,
  ) {
    this.batches = loader.batches - first;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (let at = this.first; at < this.loader.batches; at++) yield await this.loader.batch(at);
  }
}

/**
 * The request of the search itself, which leaves out the last batches when some are held out.
 *
 * @throws `ERR_CLI_OPTION` when there are too few batches
 */
export function withoutHeldOut(request: SearchRequest, { loader }: OpenData): SearchRequest {
  if (request.holdout === null) return request;
  const batches = loader.batches - heldOutBatches(request.holdout, loader);
  if (batches < 1) {
    throw badOption(
      `--holdout keeps whole batches, and the data has ${loader.batches}: give more data, or a smaller --batch-size.`,
    );
  }
  const most = (asked: number | null): number => Math.min(asked ?? batches, batches);
  const calibrationBatches = request.calibrationBatches === null ? null : most(request.calibrationBatches);
  return { ...request, maxBatches: most(request.maxBatches), calibrationBatches };
}

function heldOutBatches(share: number, { batches }: Loader): number {
  return Math.max(1, Math.round(share * batches));
}

/** Opens the data that the outcome is rated on; null where the request has none. @throws as {@link openData} */
export async function openHeldOut(
  request: SearchRequest,
  data: OpenData,
  full: Module,
  say: (line: string) => void,
): Promise<HeldOut | null> {
  if (request.holdout !== null) {
    const { loader } = data;
    const kept = heldOutBatches(request.holdout, loader);
    const source = new LastBatches(loader, loader.batches - kept);
    // Only the last batch may be smaller.
    const samples = loader.samples - (loader.batches - kept) * request.batchSize;
    const score = await chooseScore({ ...request, maxBatches: null }, { ...data, loader: source }, full, say);
    return { samples, score, close: () => {} };
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
      `--eval-data has the arrays that the search itself uses (${data.inputs.join(", ")}): name others, or use --holdout.`,
    );
  }
  const score = await chooseScore({ ...request, maxBatches: null }, other, full, say);
  return { samples: other.loader.samples, score, close: () => other.loader.close() };
}
