/** One step: search, export, learn from the full model, rate. */
import { rm } from "node:fs/promises";
import { convert } from "../mode/convert";
import { search } from "../mode/search";
import type { Module } from "../model/module";
import { LATENCY_TOLERANCE, timeResult } from "../profile/in-turns";
import type { SearchSpace } from "../space/search-space";
import type { SubnetConfig } from "../space/types";
import type { ProgressEvent } from "../util/progress";
import { controlFor } from "./carried-control";
import { ranking } from "./importance";
import type { PlannedStep, StepRecord } from "./plan";
import type { StepContext } from "./step-context";
import { searchScore } from "./step-score";
import { trained } from "./training";

/** Does a step. What it learned so far is kept beside it, and found again by the next run after an abort. */
export async function doStep(planned: PlannedStep, step: number, context: StepContext): Promise<StepRecord> {
  const { options, full, rater, signal, limit, correction } = context;
  const { model: file, search: searchFile, training: trainingFile } = context.files(step);
  const begun = performance.now();
  const onProgress = options.onProgress
    ? (event: ProgressEvent) => options.onProgress?.({ ...event, message: `step ${step}: ${event.message}` })
    : null;
  const start = await context.load(planned.from);
  const closing: { close(): void }[] = [start];
  try {
    const space = await narrowable(start, planned.from, context);
    closing.push(space);
    const { latency, ...others } = planned.bounds;
    const bounds = latency === undefined ? others : { ...others, latency: latency / correction };
    const scoreFunc = searchScore(context);
    const { collectFunc, searchBatches } = options;
    const leftOut = options.reconstruct
      ? await space.rateReconstructed(context.training, { collectFunc, maxBatches: searchBatches, signal })
      : 0;
    const { subnet: found, stateDict } = await search(space, bounds, options.dummyInput, {
      ...options.searcherConfig,
      searcher: options.searcher as "milp",
      scoreFunc,
      dataLoader: context.training,
      collectFunc: options.collectFunc,
      maxIterDataLoader: options.searchBatches,
      deployment: context.latencyTable === null ? null : { latencyTable: context.latencyTable },
      checkpoint: options.checkpoint === null ? null : searchFile,
      seed: options.seed,
      signal,
      onProgress,
      verbose: false,
    });
    closing.push(found);
    const best = stateDict.best?.config as SubnetConfig | undefined;
    // What was rated is what came out, unless layers were too large to be reconstructed for every candidate.
    const subnet =
      best === undefined || leftOut === 0 ? found : await reconstructed(space, best, found, context);
    if (subnet !== found) closing.push(subnet);
    const costs = { ...(stateDict.best?.costs ?? {}) } as Record<string, number>;
    const untrained = (await rater.of(subnet)).value;
    const base = {
      step,
      from: planned.from,
      at: planned.at,
      bounds: planned.bounds,
      costs,
      untrained,
      seconds: 0,
    };
    const { learningRate, reason } = await trained(subnet, planned, context, {
      checkpoint: trainingFile,
      onProgress,
      scoreFunc,
    });
    if (reason !== null) {
      await removed(searchFile, trainingFile);
      const nothing = {
        file: null,
        fingerprint: null,
        rating: null,
        drop: null,
        interval: null,
        latency: null,
      };
      return {
        ...base,
        learningRate,
        ...nothing,
        end: "failed",
        reason,
        seconds: (performance.now() - begun) / 1000,
      };
    }
    await subnet.save(file, { signal });
    // What is rated and timed is the file, as a user loads it.
    const saved = await context.loadFile(file);
    closing.push(saved);
    const rating = await rater.of(saved);
    const { drop, interval } = rater.dropOf(rating);
    const timed =
      latency === undefined
        ? null
        : {
            predicted: costs.latency as number,
            ...(await timeResult(full, saved, options.dummyInput, { signal })),
          };
    const surely = options.judgeBy === "interval";
    const judged = judge(surely ? (interval?.high ?? Number.NaN) : drop, limit, timed, latency ?? null);
    await removed(searchFile, trainingFile);
    return {
      ...base,
      learningRate,
      ...judged,
      file,
      fingerprint: await saved.fingerprint({ signal }),
      rating: rating.value,
      drop,
      interval,
      latency: timed,
      seconds: (performance.now() - begun) / 1000,
    };
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** The subnet that a search found, once it has made up for the channels that it lacks. */
async function reconstructed(
  space: SearchSpace,
  config: SubnetConfig,
  found: Module,
  { options, training, signal }: StepContext,
): Promise<Module> {
  const { collectFunc, searchBatches: maxBatches } = options;
  const history = found.history.at(-1);
  space.select(config);
  await space.reconstruct(training, { collectFunc, maxBatches, signal });
  await space.recalibrate(training, { collectFunc, maxBatches, signal });
  return space.export({ signal, search: history?.search ?? null });
}

function judge(
  drop: number,
  limit: number,
  timed: StepRecord["latency"],
  bound: number | null,
): Pick<StepRecord, "end" | "reason"> {
  const points = (value: number): string => `${(100 * value).toFixed(2)} points`;
  // Without an interval, of one batch, nothing is sure.
  if (!(drop <= limit + 1e-12)) {
    const lost = Number.isNaN(drop)
      ? "one batch gives no interval of what it lost"
      : `it lost ${points(drop)}`;
    return { end: "worse", reason: `${lost}, of ${points(limit)} allowed` };
  }
  if (timed !== null && bound !== null && timed.measured > LATENCY_TOLERANCE * bound) {
    const [is, may] = [timed.measured, bound].map((ms) => `${ms.toPrecision(3)} ms`);
    return {
      end: "slow",
      reason: `its file takes ${is}, of ${may} allowed; the table said ${timed.predicted.toPrecision(3)} ms`,
    };
  }
  return { end: "good", reason: null };
}

/** The search space of a step's beginning, with the user's wishes in it. */
async function narrowable(start: Module, from: number, context: StepContext) {
  const { options, carried, signal, importance } = context;
  const given = { ...options.convert, ...ranking(context, importance), seed: options.seed, signal };
  if (from === 0) return convert(start, "fastnas", options.dummyInput, given);
  const plain = await convert(start, "fastnas", options.dummyInput, {
    channelDivisor: given.channelDivisor,
    depth: given.depth,
    roundTo: given.roundTo,
    importance: "none",
    signal,
  });
  const names = plain.hyperparameters.map(({ name }) => name);
  plain.close();
  return convert(start, "fastnas", options.dummyInput, { ...given, ...controlFor(carried, names) });
}

async function removed(...files: string[]): Promise<void> {
  for (const file of files) {
    await rm(file, { force: true });
    await rm(`${file}.previous`, { force: true });
  }
}
