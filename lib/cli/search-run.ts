/** Runs a search request: the work behind `torchsearch search` and `torchsearch resume`. */
import type { BaseSearcher } from "../contract/base";
import type { SearchConfig } from "../contract/config";
import { resolveConstraints, satisfies } from "../contract/constraints";
import type { SearchStateDict } from "../contract/types";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { partsOf, withParts } from "../evaluation/score-parts";
import type { ScoreFunction, SearchModel } from "../evaluation/types";
import type { Module } from "../model/module";
import { runVersions } from "../native/versions";
import { timeResult } from "../profile/in-turns";
import { parseInputs, randomInputs } from "../profile/input-spec";
import { profile } from "../profile/profile";
import { describeImportances } from "../space/auto-importance";
import { importanceNeeds } from "../space/importance";
import { conditionsOf } from "../space/latency";
import { SearchSpace } from "../space/search-space";
import { isRecord } from "../util/check";
import { withAccuracy } from "./accuracy-so-far";
import { confirmedSearch } from "./confirmed-search";
import { digestsFor, earlierRuns, requireSameScore } from "./earlier-runs";
import { requireApart } from "./file-roles";
import { openFitting } from "./fitting-data";
import { openHeldOut, withoutHeldOut } from "./held-out";
import { loadModelFile } from "./load-model";
import { modeNamed } from "./modes";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import { once, requireOutput } from "./output";
import { rateOutcome } from "./rate-outcome";
import type { DataRequest, SearchRequest, SpaceRequest } from "./request";
import type { SearchContext } from "./search-context";
import { adapterOf } from "./search-modes";
import { chooseScore, rateFull } from "./search-scores";
import type { SearchOutcome } from "./search-types";

type AnySearcher = BaseSearcher<SearchStateDict, SearchConfig, SearchModel, Module>;

/**
 * Searches, and saves the subnet and the checkpoint.
 *
 * @returns null on other ranks than 0, which only measure
 * @throws what searching throws
 */
export async function runSearch(asked: SearchRequest, context: SearchContext): Promise<SearchOutcome | null> {
  const { signal, onProgress, say, group } = context;
  const writes = group === null || group.rank === 0;
  const start = performance.now();
  requireApart(
    { "--output": asked.output, "--checkpoint": asked.checkpoint },
    { model: asked.model, "--data": asked.data, "--eval-data": asked.evalData },
  );
  const earlier = writes ? await earlierRuns(asked) : null;
  const digests = await digestsFor(asked, earlier, context);
  const secondsSoFar = (): number => (earlier?.seconds ?? 0) + (performance.now() - start) / 1000;
  const adapter = adapterOf(asked);
  const module = await loadModel(asked, signal);
  const closing: { close(): void }[] = [module];
  try {
    if (writes) await requireOutput(asked.output);
    const data = await openFitting(asked, module, "train", say);
    closing.push(data.loader);
    requireTargets(asked, data);
    const request = withoutHeldOut(asked, data);
    const sayOnce = once(say);
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
    if (space instanceof SearchSpace && space.importances !== null)
      say(describeImportances(space.importances));
    say(`${adapter.size(space)}; searching (${request.searcher}).`);

    const Searcher = modeNamed(request.mode).searchers[request.searcher] as new () => unknown;
    const searcher = new Searcher() as AnySearcher;
    // In a group, no rank sees all candidates.
    const rating =
      group === null
        ? withAccuracy(score, space, request.constraints, earlier?.best ?? null)
        : { score: named(score.score), best: () => null };
    const versions = runVersions(module.device);
    const recorded = {
      score: { name: score.name, title: score.title },
      before,
      ...(heldOut !== null &&
        heldOutBefore !== null && {
          heldOutBefore: { samples: heldOut.samples, ...heldOutBefore },
        }),
      inputs: shapesOf(dummyInput),
      versions,
      simulated: adapter.simulated,
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
        get date() {
          return new Date().toISOString();
        },
        get best() {
          return rating.best();
        },
        ...more,
      };
    };
    annotate();
    const config = {
      ...adapter.config(request, used, score.name),
      ...request.searcherOptions,
      scoreFunc: rating.score,
      checkpoint: request.checkpoint,
      seed: request.seed,
      verbose: context.verbose,
      signal,
      onProgress,
      group,
      dataShards: "auto" as const,
    };
    const { found: last, latency } = await confirmedSearch(request.constraints, {
      search: (constraints) => searcher.search(space, constraints, dummyInput, config),
      predicted: ({ stateDict }) => latenciesOf(stateDict),
      // Ranks of a group share the machine, and would have to search on together.
      measure: ({ subnet }) =>
        group === null ? inTurns(space, [module, subnet], dummyInput, signal) : Promise.resolve(null),
      drop: ({ subnet }) => subnet.close(),
      say,
    });
    const { subnet, stateDict } = last;
    closing.push(subnet);
    if (!writes) return null;
    onProgress({ phase: "outcome", done: 0, total: null, message: "rating the result" });
    await subnet.save(asked.output, { signal });
    const rated = await rateOutcome(
      asked,
      { module, subnet, dummyInput, data, used },
      { score, before, heldOut, heldOutBefore },
      context,
    );
    const operators = adapter.comparesOperators && {
      before: await operatorCosts(module, dummyInput, signal),
      after: await operatorCosts(subnet, dummyInput, signal),
    };
    const bounds = { ...(stateDict.bounds as Record<string, number> | null | undefined) };
    if (latency !== null && latency.repeats > 0) {
      // The last search had a smaller one.
      const asked = { latency: request.constraints.latency ?? null };
      Object.assign(bounds, resolveConstraints(asked, stateDict.fullCosts as Record<string, number>));
    }
    const undershoots = adapter.undershot(space, stateDict, bounds, request);
    const seconds = secondsSoFar();
    const { score: compared, accuracy, ...more } = rated;
    annotate({
      after: { score: compared.after, accuracy: accuracy?.after ?? null },
      noise: { score: compared.noise, accuracy: accuracy?.noise ?? null },
      ...more,
      undershot: undershoots,
      ...(operators && { operators }),
      ...(latency && { latency }),
      seconds,
    });
    await searcher.saveSearchCheckpoint();
    const found = adapter.found(space, stateDict);
    return {
      model: request.model,
      output: request.output,
      checkpoint: request.checkpoint,
      mode: request.mode,
      searcher: request.searcher,
      met: satisfies(found.costs.after, bounds) && latency?.met !== false,
      latency,
      simulated: adapter.simulated,
      ...found,
      ...rated,
      score: { name: score.name, title: score.title, ...compared },
      bounds,
      undershot: undershoots,
      inputs: recorded.inputs,
      seconds,
      versions,
    };
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** The full model's latency and the result's, by the table. */
function latenciesOf({ fullCosts, best }: SearchStateDict): { full: number; result: number } {
  const of = (costs: unknown): number => (costs as { latency: number }).latency;
  return { full: of(fullCosts), result: of((best as { costs: unknown }).costs) };
}

/** Times the full model and a result in turns; null where the space's table is not of this machine. */
async function inTurns(
  space: unknown,
  [full, subnet]: [Module, Module],
  input: unknown[],
  signal: AbortSignal,
): Promise<{ full: number; measured: number } | null> {
  const table = space instanceof SearchSpace ? space.latencyTable : null;
  if (table === null) return null;
  const { conditions } = table;
  const { device, torch, hardware } = conditionsOf((space as SearchSpace).device, conditions.threads);
  if (conditions.device !== device || conditions.torch !== torch || conditions.hardware !== hardware)
    return null;
  return timeResult(full, subnet, input, { threads: conditions.threads, signal });
}

/** The score by the name that the record of any search has for it. */
function named(rate: ScoreFunction): ScoreFunction {
  const score: ScoreFunction = (model, context) => rate(model, context);
  return withParts(score, () => partsOf(rate));
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
  return loadModelFile(model, { device, signal });
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

function shapesOf(value: unknown): number[][] {
  if (Array.isArray(value)) return value.flatMap(shapesOf);
  if (isRecord(value)) return Object.values(value).flatMap(shapesOf);
  return isTensor(value) ? [[...value.shape]] : [];
}
