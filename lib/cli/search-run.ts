/** Runs a search request: the work behind `torchsearch search` and `torchsearch resume`. */
import { isDeepStrictEqual } from "node:util";
import type { BaseSearcher } from "../contract/base";
import { readCheckpoint } from "../contract/checkpoint";
import type { SearchConfig } from "../contract/config";
import { satisfies } from "../contract/constraints";
import type { SearchStateDict } from "../contract/types";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import type { SearchModel } from "../evaluation/types";
import { Module } from "../model/module";
import { type RunVersions, runVersions } from "../native/versions";
import { parseInputs, randomInputs } from "../profile/input-spec";
import { profile } from "../profile/profile";
import { importanceNeeds } from "../space/importance";
import { isRecord } from "../util/check";
import { presentName } from "../util/renamed";
import { type DataDigest, digestData, recordedDigests, requireSameData } from "./data-digest";
import { openFitting } from "./fitting-data";
import { openHeldOut, withoutHeldOut } from "./held-out";
import { modeNamed } from "./modes";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import { SCORES } from "./options/rows/search";
import { requireOutput } from "./output";
import type { DataRequest, SearchRequest, SpaceRequest } from "./request";
import type { SearchContext } from "./search-context";
import { adapterOf, type Found } from "./search-modes";
import { presentRequest } from "./search-request";
import { type ChosenScore, chooseScore, type Ratings, rate, rateFull } from "./search-scores";

/** What `torchsearch search --json` prints. */
export interface SearchOutcome extends Found {
  model: string;
  output: string;
  checkpoint: string;
  mode: string;
  searcher: string;
  score: { name: string; title: string; before: number; after: number };
  /** Where the targets are labels and the score is not the accuracy itself. */
  accuracy: { before: number; after: number } | null;
  /** Ratings on data that the search did not use; null when none were held out. */
  heldOut: {
    samples: number;
    score: { before: number; after: number };
    accuracy: { before: number; after: number } | null;
  } | null;
  /** Shapes of the example input that costs refer to. */
  inputs: number[][];
  /** Upper bounds, in each metric's unit. */
  bounds: Record<string, number>;
  /** Whether all bounds hold. */
  met: boolean;
  /** Seconds of all runs of the search. */
  seconds: number;
  versions: RunVersions;
}

type AnySearcher = BaseSearcher<SearchStateDict, SearchConfig, SearchModel, Module>;

/** Searches, and saves the subnet and the checkpoint. @throws what searching throws */
export async function runSearch(asked: SearchRequest, context: SearchContext): Promise<SearchOutcome> {
  const { signal, onProgress, say } = context;
  const start = performance.now();
  const earlier = await earlierRuns(asked);
  const digests = await digestsFor(asked, earlier, context);
  const secondsSoFar = (): number => (earlier?.seconds ?? 0) + (performance.now() - start) / 1000;
  const adapter = adapterOf(asked);
  const module = await loadModel(asked, signal);
  const closing: { close(): void }[] = [module];
  try {
    await requireOutput(asked.output);
    const data = await openFitting(asked, module, "train", say);
    closing.push(data.loader);
    requireTargets(asked, data);
    const request = withoutHeldOut(asked, data);
    const said = new Set<string>();
    const sayOnce = (line: string): void => {
      if (!said.has(line)) say(line);
      said.add(line);
    };
    const heldOut = await openHeldOut(asked, data, module, sayOnce);
    if (heldOut !== null) closing.push(heldOut);
    const dummyInput = exampleInput(request, data, module);
    closing.push({ close: () => closeTensors(dummyInput) });
    const score = await chooseScore(request, data, module, sayOnce);
    requireSameScore(asked, earlier, score);
    const { samples, batches } = data.loader;
    const apart =
      heldOut === null
        ? ""
        : ` ${heldOut.samples} ${request.holdout === null ? "others" : "of them"} are held out.`;
    say(`${request.model}: ${samples} samples in ${batches} batches; score: ${score.title}.${apart}`);

    onProgress({ phase: "baseline", done: 0, total: null, message: "scoring the full model" });
    const before = await rateFull(score, module, { signal }, sayOnce);
    const heldOutBefore =
      heldOut === null ? null : await rateFull(heldOut.score, module, { signal }, sayOnce);
    // Targets that don't fit, and that the score doesn't need, are of no use to the mode either.
    const used =
      (score.name === "klDivergence" && before.accuracy === null) || data.rows === "probabilities"
        ? { ...data, target: null, labels: false }
        : data;
    const space = await adapter.convert(module, dummyInput, request, used, context);
    closing.push(space);
    say(`${adapter.size(space)}; searching (${request.searcher}).`);

    const Searcher = modeNamed(request.mode).searchers[request.searcher] as new () => unknown;
    const searcher = new Searcher() as AnySearcher;
    const versions = runVersions(module.device);
    const recorded = {
      score: { name: score.name, title: score.title },
      before,
      inputs: shapesOf(dummyInput),
      versions,
      ...(digests !== null && { data: digests }),
    };
    const annotate = (more: Record<string, unknown> = {}): void => {
      searcher.annotations = {
        command: [...context.args],
        cwd: process.cwd(),
        request: asked,
        ...recorded,
        // Read whenever a checkpoint is written.
        get seconds() {
          return secondsSoFar();
        },
        ...more,
      };
    };
    annotate();
    const { subnet, stateDict } = await searcher.search(space, request.constraints, dummyInput, {
      ...adapter.config(request, used, score.name),
      ...request.searcherOptions,
      scoreFunc: score.score,
      checkpoint: request.checkpoint,
      seed: request.seed,
      verbose: context.verbose,
      signal,
      onProgress,
    });
    closing.push(subnet);
    const after = await rate(score, subnet, { signal });
    const held =
      heldOut === null || heldOutBefore === null
        ? null
        : {
            samples: heldOut.samples,
            ...compared(heldOutBefore, await rate(heldOut.score, subnet, { signal })),
          };
    await subnet.save(request.output, { signal });
    const operators = adapter.comparesOperators && {
      before: await operatorCosts(module, dummyInput, signal),
      after: await operatorCosts(subnet, dummyInput, signal),
    };
    const seconds = secondsSoFar();
    annotate({ after, heldOut: held, ...(operators && { operators }), seconds });
    await searcher.saveSearchCheckpoint();
    return outcomeOf(
      request,
      adapter.found(space, stateDict),
      score,
      { before, after },
      {
        bounds: { ...(stateDict.bounds as Record<string, number> | null | undefined) },
        heldOut: held,
        inputs: recorded.inputs,
        seconds,
        versions,
      },
    );
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** The cost of each operator of a model, for the report. */
async function operatorCosts(
  model: Module,
  input: unknown[],
  signal: AbortSignal,
): Promise<{ name: string; op: string; flops: number; params: number }[]> {
  const { operators } = await profile(model, input, { metrics: ["params", "flops"], signal });
  return operators
    .filter(({ flops, params }) => flops > 0 || params > 0)
    .map(({ name, op, flops, params }) => ({ name, op, flops, params }));
}

/** Refuses what learns from targets where there are none, or none that it can take. @throws `ERR_CLI_OPTION` */
function requireTargets({ searcher, mode, importance }: SearchRequest, { target, rows }: OpenData): void {
  if (rows === "probabilities" && (searcher === "gradient" || importanceNeeds(importance).targets)) {
    throw badOption(
      `Gradients need class labels, but the rows of the targets "${target}" are probabilities: give the classes (argmax) as ` +
        "whole numbers, or take them as values with --score meanSquaredError.",
    );
  }
  if (searcher !== "gradient" || target !== null) return;
  throw badOption(
    `--searcher gradient needs targets, which the data lack: name their array with --target-array, or take another searcher of ${mode}.`,
  );
}

/** Loads the model of a request. */
export function loadModel({ model, device }: SpaceRequest, signal: AbortSignal): Promise<Module> {
  return Module.load(model, device === null ? { signal } : { signal, device });
}

/** The inputs that costs refer to: as `input` describes them, else one sample of the data. The caller closes them. */
export function exampleInput(
  request: SpaceRequest & DataRequest,
  data: OpenData | null,
  { signature }: Module,
): unknown[] {
  const { specs, numbers } = parseInputs(request.input ?? [], signature);
  if (specs.length > 0) return randomInputs(specs, request.seed, numbers);
  if (data !== null) return data.example();
  throw new TorchSearchError(
    "ERR_CLI_OPTION",
    "Describe the model's input with --input, such as 1x3x224x224.",
  );
}

/** Keys of a request that decide what a score means. */
const DECISIVE = [
  "data",
  "inputArrays",
  "targetArray",
  "dtype",
  "batchSize",
  "shuffle",
  "input",
  "score",
  "topK",
  "outputKey",
  "classDimension",
  "maxBatches",
  "holdout",
  "images",
  "recalibrate",
  "calibrationBatches",
  "mode",
] as const;

/** What a checkpoint has of earlier runs. */
interface EarlierRuns {
  seconds: number;
  /** The name of its score; null where it isn't known. */
  score: string | null;
  /** Null for no checkpoint, and for one of an earlier version. */
  data: DataDigest[] | null;
}

/**
 * What the checkpoint has of earlier runs; null without one.
 *
 * @throws `ERR_CLI_CHECKPOINT` when another command measured the scores there in another way
 */
async function earlierRuns(request: SearchRequest): Promise<EarlierRuns | null> {
  const checkpoint = await readCheckpoint(request.checkpoint);
  const annotations = checkpoint?.settings.annotations;
  const earlier =
    isRecord(annotations) && isRecord(annotations.request) ? presentRequest(annotations.request) : null;
  if (earlier === null || !isRecord(annotations)) return null;
  // As JSON keeps it: without keys that are undefined.
  const plain = JSON.parse(JSON.stringify(request)) as Record<string, unknown>;
  const other = DECISIVE.filter((key) => !isDeepStrictEqual(earlier[key] ?? null, plain[key] ?? null));
  if (request.shuffle && !isDeepStrictEqual(earlier.seed, plain.seed)) (other as string[]).push("seed");
  if (other.length === 0)
    return {
      seconds: Number(annotations.seconds) || 0,
      score: isRecord(annotations.score) ? presentScore(annotations.score.name) : null,
      data: recordedDigests(annotations),
    };
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${request.checkpoint} holds a search with another ${other.join(", ")}, whose scores can't be compared. ` +
      "Name another --checkpoint, or delete it to start anew.",
  );
}

function presentScore(name: unknown): string | null {
  return typeof name === "string" ? (presentName(name, SCORES) ?? name) : null;
}

/** Refuses to mix scores: what `auto` means depends on the version. @throws `ERR_CLI_CHECKPOINT` */
function requireSameScore(
  { checkpoint }: SearchRequest,
  earlier: EarlierRuns | null,
  { name }: ChosenScore,
): void {
  if (earlier === null || earlier.score === null || earlier.score === name) return;
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${checkpoint} holds scores by ${earlier.score}, and now candidates are rated by ${name}. Name another --checkpoint, or ` +
      `repeat the search with --score ${earlier.score} and another --checkpoint.`,
  );
}

/** The digests of the data. @throws `ERR_DATA_CHANGED` when they aren't those of the checkpoint */
async function digestsFor(
  { data, checkpoint }: SearchRequest,
  earlier: EarlierRuns | null,
  { signal, say }: SearchContext,
): Promise<DataDigest[] | null> {
  const digests = await digestData(data, earlier?.data ?? null, signal);
  if (earlier === null || digests === null) return digests;
  if (earlier.data === null)
    say(`${checkpoint} doesn't say which content its data had; they are taken to be unchanged.`);
  else requireSameData(checkpoint, earlier.data, digests);
  return digests;
}

function shapesOf(value: unknown): number[][] {
  if (Array.isArray(value)) return value.flatMap(shapesOf);
  if (isRecord(value)) return Object.values(value).flatMap(shapesOf);
  return isTensor(value) ? [[...value.shape]] : [];
}

function compared(
  before: Ratings,
  after: Ratings,
): Pick<NonNullable<SearchOutcome["heldOut"]>, "score" | "accuracy"> {
  return {
    score: { before: before.score, after: after.score },
    accuracy:
      before.accuracy === null || after.accuracy === null
        ? null
        : { before: before.accuracy, after: after.accuracy },
  };
}

function outcomeOf(
  request: SearchRequest,
  found: Found,
  score: ChosenScore,
  ratings: { before: Ratings; after: Ratings },
  rest: Pick<SearchOutcome, "bounds" | "heldOut" | "inputs" | "seconds" | "versions">,
): SearchOutcome {
  const rated = compared(ratings.before, ratings.after);
  return {
    model: request.model,
    output: request.output,
    checkpoint: request.checkpoint,
    mode: request.mode,
    searcher: request.searcher,
    score: { name: score.name, title: score.title, ...rated.score },
    accuracy: rated.accuracy,
    met: satisfies(found.costs.after, rest.bounds),
    ...found,
    ...rest,
  };
}
