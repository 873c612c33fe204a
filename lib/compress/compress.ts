/** From a trained model to a small one as good. */
import { copyFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { resolveConstraints } from "../contract/constraints";
import { type BatchedLoader, BatchRange, trainingLoader } from "../data/batch-range";
import type { DataSource } from "../data/data-source";
import { ImageFolderLoader } from "../data/image-folder";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { convert } from "../mode/convert";
import { formatOf, stemOf } from "../model/file-format";
import { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import type { LoadOptions } from "../model/types";
import type { LatencyTable } from "../profile/latency-table";
import { describeImportances } from "../space/auto-importance";
import type { TriedImportance } from "../space/importance";
import { DEFAULT_IMPORTANCE } from "../space/importance";
import type { SearchSpace } from "../space/search-space";
import { isAbort, throwIfAborted } from "../util/abort";
import { makeScratchFolder, requireWritable } from "../util/atomic-file";
import { expected } from "../util/check";
import { unwritableFile } from "../util/unwritable";
import { carriedControl } from "./carried-control";
import { tryImportances } from "./importance";
import { type CompleteCompressOptions, type CompressOptions, readCompressOptions } from "./options";
import { describeStep, noStep, unreachable } from "./outcome";
import { bestOf, latencyCorrection, nextStep, type PlanInput, type StepRecord } from "./plan";
import { Rater, type RatingKind } from "./rating";
import { CompressSaver } from "./state";
import { doStep } from "./step";
import type { StepContext } from "./step-context";

/** The outcome of `compress()`. */
export interface CompressResult {
  /** The file of the smallest good model. */
  output: string;
  /** How ratings are measured; `agreement` and `fidelity` say nothing of labels. */
  rating: RatingKind;
  /** Whether ratings compare with labels. */
  labelled: boolean;
  /** The full model's rating on the held-out data: a share, of which 1 is the best. */
  fullScore: number;
  /** The smallest good model's. */
  score: number;
  /** How far the score fell. */
  drop: number;
  /** Holds the fall on all data with 95 % probability; null for one batch. */
  interval: { low: number; high: number } | null;
  /** Held-out samples. */
  samples: number;
  /** In each metric's unit. */
  costs: Record<string, number>;
  /** The full model's. */
  fullCosts: Record<string, number>;
  /** Milliseconds, where a bound on latency was given: by the table, and measured in turns with the full model. */
  latency: StepRecord["latency"];
  /** Whether the target is met; with `maxDrop` and `minScore` always true. */
  met: boolean;
  /** What ended it: the plan, or the time. */
  ended: "plan" | "effort";
  /** All steps, also those that went wrong; their files can be used. */
  steps: readonly StepRecord[];
  /** The measures of importance that `auto` tried, the best first; null without it. */
  importances: readonly TriedImportance[] | null;
  /** Of the whole, runs before a restart included. */
  seconds: number;
}

/**
 * Makes a trained model smaller, in steps: each searches for the best subnet within a budget, exports it, lets it learn
 * from the full model, averages the batch norms' statistics anew, and rates it on held-out data. A step that loses too
 * much is taken back, and half of it is tried. With `maxDrop` or `minScore`, the smallest cost is found by bisection over
 * budgets: every try begins with the smallest good model so far, so that it keeps what that one learned.
 *
 * Without labels (`loss: null`), the full model's outputs are what is learned and compared with.
 *
 * @param module the full model; it is left as it is
 * @returns the smallest good model's file and ratings, with the whole path
 * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`; `ERR_HOLDOUT` for data of which nothing can be held out;
 *   `ERR_TARGET_MET` for a target that the full model meets; `ERR_DROP_UNREACHABLE` where no step is good enough: its
 *   message says what was reached, and that file is kept; `ERR_OUTPUT` for outputs without a floating tensor;
 *   `ERR_CHECKPOINT_…`; errors of `convert`, searches and `finetune`; `ERR_ABORTED`
 *
 * @example
 * ```ts
 * const { output, score, costs } = await compress(module, {
 *   data,
 *   dummyInput,
 *   loss: "crossEntropy",
 *   target: { flops: "60%" },
 *   steps: 1,
 *   epochs: 1,
 *   searchBatches: 1,
 *   searcherConfig: { maxChoices: 1 },
 *   convert: { channelDivisor: 16 },
 *   output: "small.pt",
 * });
 * console.log(output, score, costs.flops);
 * ```
 */
export async function compress(module: Module, options: CompressOptions): Promise<CompressResult> {
  return compressWith(module, readCompressOptions(options), {});
}

/** As {@link compress}, with complete options, what the files of steps are trusted with, and what the data are known by. */
export async function compressWith(
  module: Module,
  options: CompleteCompressOptions,
  trust: Pick<LoadOptions, "allowUnsafe" | "verify">,
  dataDigest: string | null = null,
): Promise<CompressResult> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  const { signal, output, checkpoint } = options;
  throwIfAborted(signal);
  await writable(output);
  const split = await splitData(options);
  const fingerprint = await module.fingerprint({ signal });
  const saver = new CompressSaver(checkpoint, fingerprint, { ...settingsOf(options), dataDigest });
  const folder = await makeScratchFolder(path.resolve(output));
  let how: "well" | "early" = "early";
  try {
    await saver.begin();
    // Converting moves the channels of a model, so a copy is converted.
    const copy = path.join(folder, "full.pt");
    await module.save(copy, { signal });
    const load = (file: string): Promise<Module> =>
      Module.load(file, { ...trust, device: module.device, ...(signal && { signal }) });
    const result = await run(module, options, { ...split, saver, copy, load });
    how = "well";
    return result;
  } finally {
    await saver.end(how);
    split.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Run {
  training: DataSource;
  heldOut: DataSource;
  saver: CompressSaver;
  copy: string;
  load(file: string): Promise<Module>;
}

async function run(
  module: Module,
  options: CompleteCompressOptions,
  { training, heldOut, saver, copy, load }: Run,
): Promise<CompressResult> {
  const { signal, collectFunc, targetFunc, loss, outputs, maxDrop, minScore, heal, onStep } = options;
  const rater = await Rater.of(module, { data: heldOut, collectFunc, targetFunc, loss, outputs, signal });
  const full = rater.full.value;
  const limit = minScore === null ? (maxDrop ?? heal) : full - minScore;
  if (limit < 0)
    throw unreachable(`The full model itself scores ${full.toFixed(4)}, below minScore ${minScore}`);
  const { input, carried, latencyTable } = await lookAt(await load(copy), options);
  const { records } = saver.state;
  const filesOf = (step: number) => stepFiles(options, step);
  const loadStep = async (step: number): Promise<Module> => {
    const record = records.find((each) => each.step === step);
    if (record?.file == null) return load(copy);
    const found = await load(record.file);
    if ((await found.fingerprint({ signal })) === record.fingerprint) return found;
    found.close();
    throw new TorchSearchError(
      "ERR_CHECKPOINT_MODEL",
      `${record.file} is another model than step ${step} made: bring it back, or begin anew with another checkpoint file.`,
    );
  };
  const deadline = deadlineOf(options, saver.seconds);
  let ended: CompressResult["ended"] = "plan";
  const wanted = options.importance ?? options.convert.importance ?? DEFAULT_IMPORTANCE;
  for (;;) {
    const planned = nextStep(input, records);
    if (planned === null) break;
    const left = deadline === null ? null : deadline - performance.now();
    if (left !== null && left <= 0) {
      ended = "effort";
      break;
    }
    const timeout = left === null ? null : AbortSignal.timeout(left);
    const context: StepContext = {
      options,
      importance: wanted === "auto" ? (saver.state.importances?.[0]?.importance ?? "none") : wanted,
      full: module,
      rater,
      training,
      carried,
      limit,
      signal: timeout === null ? signal : signal === null ? timeout : AbortSignal.any([signal, timeout]),
      latencyTable,
      correction: latencyCorrection(records),
      load: loadStep,
      loadFile: load,
      learningRate: {
        known: saver.state.learningRate,
        keep: async (rate) => {
          saver.state.learningRate = rate;
          await saver.save();
        },
      },
      copy: async (each) => {
        const file = path.join(path.dirname(copy), "copy.pt");
        await each.save(file, { signal });
        return load(file);
      },
      files: filesOf,
      fullCosts: input.fullCosts,
    };
    try {
      if (wanted === "auto" && saver.state.importances === null) {
        const tried = await tryImportances(context, () => load(copy));
        saver.state.importances = tried;
        await saver.save();
        context.importance = (tried[0] as TriedImportance).importance;
        onStep?.(describeImportances(tried));
      }
      const record = await doStep(planned, records.length + 1, context);
      await saver.add(record);
      onStep?.(describeStep(record, input.fullCosts, rater));
    } catch (error) {
      if (!isAbort(error) || timeout?.aborted !== true || signal?.aborted === true) throw error;
      ended = "effort";
      break;
    }
  }
  await saver.save();
  const best = bestOf(input, records);
  // An earlier run's file is copied only where it is the model that it was.
  if (best !== undefined) (await loadStep(best.step)).close();
  const { importances } = saver.state;
  return finish(options, { input, records, rater, ended, importances, seconds: saver.seconds });
}

/** Prices the full and the smallest model, and reads what the user wants of the layers. */
async function lookAt(copy: Module, options: CompleteCompressOptions) {
  const { dummyInput, target, metric, signal, onProgress } = options;
  const looking = target === null;
  let space: SearchSpace | null = null;
  try {
    // Nothing is ranked here, so nothing is measured.
    const unranked = { ...options.convert, importance: "none" as const, data: null };
    space = await convert(copy, "fastnas", dummyInput, { ...unranked, signal, onProgress });
    const timed = looking
      ? metric === "latency"
      : Object.hasOwn(target, "latency") && target.latency !== null;
    const latencyTable = timed ? `${stem(options.output)}.latency.json` : null;
    if (latencyTable !== null) {
      const table: LatencyTable = await space.measureLatency({ signal, onProgress });
      space.useLatencyTable(table);
      await table.save(latencyTable);
    }
    const fullCosts = space.costs(space.fullConfig) as Record<string, number>;
    const smallestCosts = space.costs(space.smallestConfig) as Record<string, number>;
    const bounds = looking ? null : resolveConstraints(target, fullCosts);
    if (bounds !== null) {
      const met = Object.entries(bounds).every(([name, bound]) => (fullCosts[name] as number) <= bound);
      if (met) {
        throw new TorchSearchError(
          "ERR_TARGET_MET",
          `The full model meets the target already (${Object.entries(bounds)
            .map(([name, bound]) => `${name} ${fullCosts[name]} <= ${bound}`)
            .join(", ")}): give smaller bounds, or maxDrop for the smallest model within a drop.`,
        );
      }
    }
    const steps = options.steps ?? (looking ? 6 : 3);
    const input: PlanInput = { fullCosts, smallestCosts, target: bounds, metric, steps };
    return { input, carried: carriedControl(space, options.convert), latencyTable };
  } finally {
    space?.close();
    copy.close();
  }
}

/** Copies the best step's file to the output, and says what was reached. */
async function finish(
  options: CompleteCompressOptions,
  done: {
    input: PlanInput;
    records: readonly StepRecord[];
    rater: Rater;
    ended: CompressResult["ended"];
    importances: readonly TriedImportance[] | null;
    seconds: number;
  },
): Promise<CompressResult> {
  const { input, records, rater, ended, importances, seconds } = done;
  const best = bestOf(input, records);
  const met = best !== undefined && (input.target === null || best.at === 1);
  if (best?.file != null) await replace(best.file, options.output);
  if (best === undefined || (!met && ended === "plan"))
    throw noStep(options, best, records, rater, input.fullCosts);
  return {
    output: options.output,
    rating: rater.kind,
    labelled: rater.labelled,
    fullScore: rater.full.value,
    score: best.rating as number,
    drop: best.drop as number,
    interval: best.interval,
    samples: rater.full.samples,
    costs: best.costs,
    fullCosts: { ...input.fullCosts },
    latency: best.latency,
    met,
    ended,
    steps: [...records],
    importances,
    seconds,
  };
}

async function replace(from: string, to: string): Promise<void> {
  const temporary = `${to}.${process.pid}.tmp`;
  await copyFile(from, temporary);
  await rename(temporary, to);
}

function stem(file: string): string {
  return stemOf(path.resolve(file));
}

function stepFiles({ output, checkpoint }: CompleteCompressOptions, step: number) {
  const beside = `${checkpoint === null ? stem(output) : path.resolve(checkpoint)}.step-${step}`;
  return {
    model: `${stem(output)}.step-${step}.pt`,
    search: `${beside}.search.safetensors`,
    training: `${beside}.training.safetensors`,
  };
}

function deadlineOf({ effort }: CompleteCompressOptions, seconds: number): number | null {
  return effort === null ? null : performance.now() + 1000 * (60 * effort - seconds);
}

/** What must be the same in a resumed run. */
function settingsOf(options: CompleteCompressOptions): Record<string, unknown> {
  const { target, maxDrop, minScore, metric, loss, steps, epochs, searchBatches, searcher, heal, seed } =
    options;
  const { reconstruct, judgeBy, importance, outputs } = options;
  const plain = (value: object): unknown =>
    JSON.parse(JSON.stringify(value, (_, each: unknown) => (typeof each === "function" ? "function" : each)));
  const { data: _, signal: __, onProgress: ___, ...control } = options.convert;
  return {
    ...{
      target,
      maxDrop,
      minScore,
      metric,
      loss,
      steps,
      epochs,
      searchBatches,
      searcher,
      heal,
      seed,
      reconstruct,
      judgeBy,
      importance,
      outputs,
    },
    output: path.resolve(options.output),
    holdout: typeof options.holdout === "number" ? options.holdout : "data",
    searcherConfig: plain(options.searcherConfig),
    convert: plain(control),
    finetune: plain(options.finetune),
  };
}

async function writable(output: string): Promise<void> {
  formatOf(output, "torchscript"); // each step is a TorchScript file, and the best one is copied
  try {
    await requireWritable(output);
  } catch (error) {
    throw unwritableFile(output, error);
  }
}

/** The data that are learned from, and those that are held out. @throws `ERR_HOLDOUT` */
async function splitData({ data, holdout }: CompleteCompressOptions): Promise<{
  training: DataSource;
  heldOut: DataSource;
  close(): void;
}> {
  if (typeof holdout !== "number") return { training: data, heldOut: holdout, close: () => {} };
  const nothing = (why: string): TorchSearchError =>
    new TorchSearchError(
      "ERR_HOLDOUT",
      `${why}: give other data as holdout, which nothing learns from, or more batches (a smaller batchSize).`,
    );
  const batched = data instanceof TensorDataLoader || data instanceof ImageFolderLoader;
  if (!batched && !Array.isArray(data))
    throw nothing("Nothing can be held out of data whose batches aren't counted");
  const count = batched ? (data as BatchedLoader).batches : (data as unknown[]).length;
  const size = batched ? await batchSizeOf(data as BatchedLoader) : 1;
  const samples = batched ? (data as BatchedLoader).samples : count;
  let first = count - Math.max(1, Math.round(holdout * count));
  // The last batch may be small, and would be all that is held out.
  if (samples - first * size < (holdout * samples) / 2) first -= 1;
  if (first < 1) throw nothing(`Nothing can be held out of ${count} ${count === 1 ? "batch" : "batches"}`);
  if (!batched) {
    const all = data as unknown[];
    return { training: all.slice(0, first), heldOut: all.slice(first), close: () => {} };
  }
  const loader = data as BatchedLoader;
  const learned = await trainingLoader(new BatchRange(loader, 0, first), size);
  return {
    training: learned.loader,
    heldOut: new BatchRange(loader, first, count),
    close: () => learned.close(),
  };
}

/** Samples in a whole batch: in the first one. */
async function batchSizeOf(loader: BatchedLoader): Promise<number> {
  if (loader.batches === 0) return 1;
  const batch: unknown = await loader.batch(0);
  try {
    const [first] = Object.values(batch as Record<string, Tensor>);
    return first?.shape[0] ?? 1;
  } finally {
    closeTensors(batch);
  }
}
