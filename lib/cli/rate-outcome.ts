/** Rating the result of a search: scores, files and latency, and its training where that was asked for. */

import { rm } from "node:fs/promises";
import { TorchSearchError } from "../errors";
import { stemOf } from "../model/file-format";
import { Module } from "../model/module";
import { BatchRange } from "./batch-range";
import { type ComparedRatings, compareRatings, fell } from "./comparison";
import { type FinetuneRequest, finetuneArguments, trainingOf } from "./finetune-request";
import { type FinetuneOutcome, trainRequest } from "./finetune-run";
import { measureBoth } from "./footprint";
import type { HeldOut } from "./held-out";
import type { OpenData } from "./open-data";
import type { SearchRequest } from "./request";
import type { SearchContext } from "./search-context";
import { type ChosenScore, type Ratings, rate } from "./search-scores";
import type { RatedOutcome } from "./search-types";

/** The models and the data of a search. */
interface Searched {
  module: Module;
  /** The result, saved as the request's output. */
  subnet: Module;
  dummyInput: unknown[];
  data: OpenData;
  /** The data, without targets that don't fit. */
  used: OpenData;
}

/** How the full model was rated. */
interface RatedBefore {
  score: ChosenScore;
  before: Ratings;
  heldOut: HeldOut | null;
  heldOutBefore: Ratings | null;
}

/** Rates the result of a search beside the full model; trains it where the request says so. */
export async function rateOutcome(
  request: SearchRequest,
  searched: Searched,
  { score, before, heldOut, heldOutBefore }: RatedBefore,
  context: SearchContext,
): Promise<RatedOutcome> {
  const { module, subnet, data, dummyInput } = searched;
  const { signal } = context;
  const models = { full: module, subnet, signal };
  const compare = async (
    chosen: ChosenScore,
    scored: HeldOut["scored"],
    full: Ratings,
  ): Promise<ComparedRatings> => {
    const after = await rate(chosen, subnet, { signal });
    return compareRatings(request, { score: chosen, scored }, { before: full, after }, models);
  };
  const ratings = await compare(score, scoredBatches(request, data, heldOut), before);
  const held =
    heldOut === null || heldOutBefore === null
      ? null
      : { samples: heldOut.samples, ...(await compare(heldOut.score, heldOut.scored, heldOutBefore)) };
  const measured = await measureBoth(
    { module, file: request.model },
    { module: subnet, file: request.output },
    dummyInput,
    { threads: request.threads, signal },
  );
  const outcome: RatedOutcome = {
    ...ratings,
    heldOut: held,
    measured,
    finetuned: null,
    next: null,
  };
  const training = trainingOf(request, searched.used, module.signature);
  if (request.finetuneEpochs === null) {
    const worse = [ratings, ...(held === null ? [] : [held])].some(
      ({ score: rated, accuracy }) => fell(rated) || (accuracy !== null && fell(accuracy)),
    );
    return worse ? { ...outcome, next: await finetuneArguments(training) } : outcome;
  }
  const checkpoint = `${stemOf(request.output)}.training.safetensors`;
  const trained = await trainAnew({ ...training, checkpoint }, context);
  using tuned = await Module.load(trained.output, { signal });
  add(ratings, await rate(score, tuned, { signal }));
  if (held !== null && heldOut !== null) add(held, await rate(heldOut.score, tuned, { signal }));
  return { ...outcome, finetuned: { output: trained.output, epochs: request.finetuneEpochs } };
}

/** Trains the result, from a checkpoint of the same training if there is one. */
async function trainAnew(training: FinetuneRequest, context: SearchContext): Promise<FinetuneOutcome> {
  const remove = (): Promise<void> => rm(training.checkpoint, { force: true });
  // In a process alone, which has an outcome.
  const train = async (): Promise<FinetuneOutcome> =>
    (await trainRequest(training, { ...context, program: null, group: null })) as FinetuneOutcome;
  const other = /^ERR_CHECKPOINT_(MODEL|OPTIONS)$/;
  const trained = await train().catch(async (error: unknown) => {
    if (!(error instanceof TorchSearchError) || !other.test(error.code)) throw error;
    // It belongs to the result of another search, or to other settings.
    await remove();
    return train();
  });
  await remove();
  return trained;
}

/** Adds the ratings of the trained result. */
function add({ score, accuracy }: ComparedRatings, tuned: Ratings): void {
  score.finetuned = tuned.score;
  if (accuracy !== null && tuned.accuracy !== null) accuracy.finetuned = tuned.accuracy;
}

/** The batches that candidates are rated on. */
function scoredBatches(
  { maxBatches, batchSize }: SearchRequest,
  data: OpenData,
  heldOut: HeldOut | null,
): HeldOut["scored"] {
  const { loader } = data;
  const inside =
    heldOut !== null && heldOut.scored.range.loader === loader ? heldOut.scored.range.first : null;
  const end = Math.min(maxBatches ?? loader.batches, inside ?? loader.batches);
  const samples = Math.min(loader.samples, end * batchSize);
  return { data, range: new BatchRange(loader, 0, end), samples };
}
