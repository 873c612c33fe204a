/** Runs a search request: the work behind `torchsearch search` and `torchsearch resume`. */
import { isDeepStrictEqual } from "node:util";

import { closeTensors } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { WIDTH_SEARCHERS } from "../mode/width-modes";
import { Module } from "../module";
import { parseInputSpec, randomInputs } from "../profile/input-spec";
import { profile } from "../profile/profile";
import type { ScoredSubnet, SpaceSearcher, SpaceSearchState } from "../search/space-searcher";
import { readCheckpoint } from "../searcher/checkpoint";
import type { SearchConfig } from "../searcher/config";
import { satisfies } from "../searcher/constraints";
import type { ProgressListener } from "../searcher/types";
import { convert } from "../space/convert";
import type { Importance } from "../space/importance";
import type { SearchSpace } from "../space/search-space";
import type { Tensor } from "../tensor";
import { isRecord } from "../util/check";
import { type RunVersions, runVersions } from "../util/versions";
import { openHeldOut, withoutHeldOut } from "./held-out";
import { type OpenData, openData } from "./open-data";
import type { DataRequest, MODES, SearcherName, SearchRequest, SpaceRequest } from "./search-request";
import { type ChosenScore, chooseScore, type Ratings, rate } from "./search-scores";

/** What the work needs besides the request. */
export interface SearchContext {
  /** The command's arguments, for the record. */
  args: readonly string[];
  signal: AbortSignal;
  onProgress: ProgressListener;
  /** Says a line on standard error. */
  say(line: string): void;
  verbose: boolean;
}

/** What `torchsearch search --json` prints. */
export interface SearchOutcome {
  model: string;
  output: string;
  checkpoint: string;
  mode: string;
  searcher: SearcherName;
  score: { name: string; title: string; before: number; after: number };
  /** Where the score is another one and the targets are labels. */
  accuracy: { before: number; after: number } | null;
  /** Ratings on data that the search did not see; null when none were kept apart. */
  heldOut: {
    samples: number;
    score: { before: number; after: number };
    accuracy: { before: number; after: number } | null;
  } | null;
  /** The example input's shapes, which costs refer to. */
  inputs: number[][];
  costs: { before: Record<string, number>; after: Record<string, number> };
  /** Upper bounds, in each metric's unit. */
  bounds: Record<string, number>;
  /** Whether all bounds hold. */
  met: boolean;
  hyperparameters: { name: string; kind: string; full: number; selected: number }[];
  seconds: number;
  versions: RunVersions;
}

type AnySearcher = SpaceSearcher<SpaceSearchState, SearchConfig>;

/** Searches, saves the subnet and the checkpoint, and tells what came out. @throws what searching throws */
export async function runSearch(asked: SearchRequest, context: SearchContext): Promise<SearchOutcome> {
  const { signal, onProgress, say } = context;
  const start = performance.now();
  await requireSameWork(asked);
  const module = await loadModel(asked, signal);
  const closing: { close(): void }[] = [module];
  try {
    const data = await openData(asked);
    closing.push(data.loader);
    const request = withoutHeldOut(asked, data);
    const heldOut = await openHeldOut(asked, data, module);
    if (heldOut !== null) closing.push(heldOut);
    const dummyInput = exampleInput(request, data);
    closing.push({ close: () => closeTensors(dummyInput) });
    const score = chooseScore(request, data, module);
    const { samples, batches } = data.loader;
    const apart =
      heldOut === null
        ? ""
        : `${request.holdout === null ? " Besides" : " Of them"}, ${heldOut.samples} are held out.`;
    say(`${request.model}: ${samples} samples in ${batches} batches; score: ${score.title}.${apart}`);

    onProgress({ phase: "baseline", done: 0, total: null, message: "scoring the full model" });
    const before = await rate(score, module, { signal });
    const heldOutBefore = heldOut === null ? null : await rate(heldOut.score, module, { signal });
    const space = await convertModel(module, dummyInput, request, data, context);
    closing.push(space);
    say(`${space.hyperparameters.length} hyperparameters; searching (${request.searcher}).`);

    const searcher = new WIDTH_SEARCHERS[request.searcher]() as AnySearcher;
    const versions = runVersions(module.device);
    const told = {
      score: { name: score.name, title: score.title },
      before,
      inputs: shapesOf(dummyInput),
      versions,
    };
    const annotate = (more: Record<string, unknown> = {}): void => {
      searcher.annotations = {
        command: [...context.args],
        cwd: process.cwd(),
        request: asked,
        ...told,
        ...more,
      };
    };
    annotate();
    const { subnet, stateDict } = await searcher.search(space, request.constraints, dummyInput, {
      ...request.searcherOptions,
      ...dataConfig(request, data),
      deployment: deploymentOf(request),
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
    const seconds = (performance.now() - start) / 1000;
    const operators = {
      before: await operatorCosts(module, dummyInput, signal),
      after: await operatorCosts(subnet, dummyInput, signal),
    };
    annotate({ after, heldOut: held, operators, seconds });
    await searcher.saveSearchCheckpoint();
    return outcomeOf(request, space, score, { before, after }, stateDict as unknown as SpaceSearchState, {
      heldOut: held,
      inputs: told.inputs,
      seconds,
      versions,
    });
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** What a model's operators cost, for the report. */
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

/** Loads the model of a request. */
export function loadModel({ model, device }: SpaceRequest, signal: AbortSignal): Promise<Module> {
  return Module.load(model, device === null ? { signal } : { signal, device });
}

/** The inputs that costs refer to: those described, else one sample of the data. The caller closes them. */
export function exampleInput(request: SpaceRequest & DataRequest, data: OpenData | null): unknown[] {
  if (request.input !== null) return randomInputs(request.input.map(parseInputSpec), request.seed);
  if (data !== null) return data.example();
  throw new TorchSearchError(
    "ERR_CLI_OPTION",
    "Describe the model's input with --input, such as 1x3x224x224.",
  );
}

/** Converts as the request says. */
export function convertModel(
  module: Module,
  dummyInput: unknown[],
  request: SpaceRequest & Pick<SearchRequest, "seed" | "maxBatches" | "calibrationBatches">,
  data: OpenData | null,
  { signal, onProgress }: Pick<SearchContext, "signal" | "onProgress">,
): Promise<SearchSpace> {
  const { mode, channelDivisor, importance, seed } = request;
  const learns = importance === "taylor" || importance === "activation";
  const { target } = data ?? {};
  return convert(module, mode as (typeof MODES)[number], dummyInput, {
    channelDivisor,
    importance: importance as Importance,
    seed,
    signal,
    onProgress,
    ...(learns &&
      data !== null && {
        data: data.loader,
        collectFunc: data.collect,
        maxBatches: request.calibrationBatches ?? request.maxBatches,
      }),
    ...(importance === "taylor" &&
      data !== null && {
        lossFunc: data.labels ? ("crossEntropy" as const) : ("mse" as const),
        targetFunc:
          data.collect === null ? null : (batch: Record<string, Tensor>) => batch[target as string] as Tensor,
      }),
  });
}

/** The config keys by which batch norms are recalibrated. */
function dataConfig(request: SearchRequest, { loader, collect }: OpenData): Partial<SearchConfig> {
  if (!request.recalibrate) return {};
  return {
    dataLoader: loader,
    collectFunc: collect as SearchConfig["collectFunc"],
    maxIterDataLoader: request.calibrationBatches ?? request.maxBatches,
  };
}

/** Where latencies come from, when they are constrained. */
function deploymentOf({ constraints, latencyTable, threads }: SearchRequest): SearchConfig["deployment"] {
  if (!Object.hasOwn(constraints, "latency") || latencyTable === null) return null;
  return { latencyTable, ...(threads !== null && { threads: String(threads) }) };
}

/** Keys of a request that decide what a measured score means. */
const DECISIVE = [
  "data",
  "inputArrays",
  "targetArray",
  "batchSize",
  "shuffle",
  "input",
  "score",
  "topK",
  "maxBatches",
  "holdout",
  "images",
  "recalibrate",
  "calibrationBatches",
] as const;

/** Refuses to go on from scores that another command measured otherwise. @throws `ERR_CLI_CHECKPOINT` */
async function requireSameWork(request: SearchRequest): Promise<void> {
  const checkpoint = await readCheckpoint(request.checkpoint);
  const annotations = checkpoint?.settings.annotations;
  const earlier = isRecord(annotations) && isRecord(annotations.request) ? annotations.request : null;
  if (earlier === null) return;
  // As JSON has it: a key that is undefined is not there.
  const plain = JSON.parse(JSON.stringify(request)) as Record<string, unknown>;
  const other = DECISIVE.filter((key) => !isDeepStrictEqual(earlier[key] ?? null, plain[key] ?? null));
  if (request.shuffle && !isDeepStrictEqual(earlier.seed, plain.seed)) (other as string[]).push("seed");
  if (other.length === 0) return;
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${request.checkpoint} holds a search with another ${other.join(", ")}, whose scores can't be compared. ` +
      "Name another --checkpoint, or delete it to start anew.",
  );
}

function shapesOf(value: unknown): number[][] {
  if (Array.isArray(value)) return value.flatMap(shapesOf);
  if (isRecord(value)) return Object.values(value).flatMap(shapesOf);
  return [[...(value as { shape: number[] }).shape]];
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
  space: SearchSpace,
  score: ChosenScore,
  ratings: { before: Ratings; after: Ratings },
  state: SpaceSearchState,
  rest: Pick<SearchOutcome, "heldOut" | "inputs" | "seconds" | "versions">,
): SearchOutcome {
  const rated = compared(ratings.before, ratings.after);
  const best = state.best as ScoredSubnet;
  const bounds = state.bounds ?? {};
  return {
    model: request.model,
    output: request.output,
    checkpoint: request.checkpoint,
    mode: request.mode,
    searcher: request.searcher,
    score: { name: score.name, title: score.title, ...rated.score },
    accuracy: rated.accuracy,
    costs: { before: { ...state.fullCosts }, after: { ...best.costs } },
    bounds,
    met: satisfies({ ...best.costs }, bounds),
    hyperparameters: space.hyperparameters.map(({ name, kind, full }) => ({
      name,
      kind,
      full,
      selected: best.config[name] as number,
    })),
    ...rest,
  };
}
