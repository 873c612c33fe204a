/**
 * Built-in scores. Each is a factory: given data, it returns a {@link ScoreFunction}. A higher score is better, so
 * losses are negated.
 *
 * With a built-in loader and no `collectFunc` or `targetFunc`, a whole pass runs natively. With any other iterable,
 * JavaScript is called once per batch. The model is in evaluation mode during the pass; its mode is restored
 * afterwards.
 */

import { batchCount, type DataSource } from "../data/data-source";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import type { ModelInputs } from "../model/inputs";
import type { Tensor } from "../model/tensor";
import type { NativeScoreKind } from "../native/types/score";
import { expected, isPositiveInteger, requireOptions } from "../util/check";
import { listed } from "../util/listed";
import { callModel, forEachBatch, withProgress } from "./forward-loop";
import { BatchScore, nativeEvaluate, requireNativeHandle } from "./native-engine";
import { needsLook, type OutputOptions, type OutputPlan, planOutputs } from "./output-plan";
import { pickOutput, scorePart } from "./output-scores";
import { inputsPicker, targetPicker } from "./pickers";
import type { TeacherView } from "./teacher-view";
import type { CollectFunction, RunContext, ScoreFunction, SearchModel } from "./types";

/** Options of all built-in scores. */
export interface ScoreOptions extends OutputOptions {
  /** At most so many batches; null (the default) for all. */
  maxBatches?: number | null;
  /** Position or name, in a batch, of the model's input; default the first element. */
  input?: number | string;
  /** Position or name, in a batch, of the target; default the second element. */
  target?: number | string;
  /** Picks the model's inputs out of a batch, instead of `input`. */
  collectFunc?: CollectFunction | null;
  /** Picks the target tensor out of a batch, instead of `target`. */
  targetFunc?: CollectFunction | null;
}

/** Options of {@link topKAccuracy}. */
export interface TopKOptions extends ScoreOptions {
  /** A sample counts when its label is among the `k` highest logits; default 1. */
  k?: number;
}

/** Options of {@link meanSquaredError}. */
export interface SquaredErrorOptions extends ScoreOptions {
  /** A model whose outputs are compared with, in place of targets. It must be native. */
  teacher?: SearchModel | null;
}

/**
 * The share of samples, 0 to 1, whose label is among the `k` highest logits. Outputs are `[N, C]`, targets are integers
 * `[N]`; further dimensions are as for {@link crossEntropy}.
 *
 * @example
 * ```ts
 * const accuracy = topKAccuracy(data, { k: 1, maxBatches: 2 });
 * console.log(await accuracy(module)); // a share from 0 to 1
 * ```
 */
export function topKAccuracy(loader: DataSource, options: TopKOptions = {}): ScoreFunction {
  requireOptions(options, "topKAccuracy");
  const { k = 1 } = options;
  if (!isPositiveInteger(k)) throw expected("ERR_ARGUMENT", "a whole number of at least 1", "k", k);
  return nativeScore("topKAccuracy", loader, options, { k, sign: 1 });
}

/**
 * Minus the mean cross-entropy in nats. Outputs are logits `[N, C]`, targets are integers `[N]`, or class probabilities
 * `[N, C]` whose rows sum to 1. With further dimensions the shapes decide: logits `[N, C, …]` have targets `[N, …]`, and
 * logits `[N, T, V]` have targets `[N, T]`. Where both fit, `classDimension` has to say which. Labels of -100 are left
 * out.
 *
 * @example
 * ```ts
 * const score = crossEntropy(data, { maxBatches: 2 });
 * console.log(await score(module)); // at most 0
 * ```
 */
export function crossEntropy(loader: DataSource, options: ScoreOptions = {}): ScoreFunction {
  requireOptions(options, "crossEntropy");
  return nativeScore("crossEntropy", loader, options, { sign: -1 });
}

/**
 * Minus the mean squared error over all elements. Targets have the outputs' shape; with `teacher` they are that model's
 * outputs.
 *
 * @example
 * ```ts
 * const inputs = Tensor.from(new Float32Array(128), [2, 1, 8, 8]);
 * const targets = Tensor.from(new Float32Array(20), [2, 10]);
 * const score = meanSquaredError([[inputs, targets]]);
 * console.log(await score(module)); // at most 0
 * ```
 */
export function meanSquaredError(loader: DataSource, options: SquaredErrorOptions = {}): ScoreFunction {
  requireOptions(options, "meanSquaredError");
  return nativeScore("meanSquaredError", loader, options, {
    sign: -1,
    teacher: options.teacher ?? undefined,
  });
}

/**
 * Minus the mean Kullback-Leibler divergence KL(full ‖ subnet) in nats between the two models' softmax outputs
 * `[N, C]`. It is 0 when the subnet answers like the full model. No targets are needed. Outputs of one column are
 * refused, because their softmax is always 1: compare those with `meanSquaredError(data, { teacher: fullModel })`.
 *
 * @param fullModel the model to compare with; must be native
 *
 * @example
 * ```ts
 * const full = await Module.load("classifier.pt");
 * const score = klDivergence(data, full, { maxBatches: 2 });
 * space.select(space.smallestConfig);
 * console.log(await score(space)); // at most 0
 * ```
 */
export function klDivergence(
  loader: DataSource,
  fullModel: SearchModel,
  options: ScoreOptions = {},
): ScoreFunction {
  requireOptions(options, "klDivergence");
  return nativeScore("klDivergence", loader, options, { sign: -1, teacher: fullModel });
}

/**
 * Minus the mean distance of a model's outputs from a teacher's, over all their floating tensors: 0 for equal outputs.
 * `view` says what each tensor is; see {@link OutputKind}.
 *
 * @param teacher the model to compare with; must be native
 */
export function teacherDistance(
  loader: DataSource,
  teacher: SearchModel,
  view: TeacherView,
  options: ScoreOptions = {},
): ScoreFunction {
  return nativeScore("teacherDistance", loader, options, { sign: -1, teacher, view });
}

/** The mean loss of one batch. The tensors of output and batch are valid until it returns (or its promise settles). */
export type BatchLoss = (output: never, batch: never) => number | Promise<number>;

/**
 * Minus the mean of a loss that is written in JavaScript and called once per batch. Batches are weighted by their
 * number of samples, which is the first dimension of the model's first input.
 *
 * @example
 * ```ts
 * const score = customLoss(data, (output: Tensor) => Math.max(...(output.data() as Float32Array)), {
 *   maxBatches: 2,
 * });
 * console.log(await score(module));
 * ```
 */
export function customLoss(loader: DataSource, loss: BatchLoss, options: ScoreOptions = {}): ScoreFunction {
  requireOptions(options, "customLoss");
  const inputsOf = inputsPicker(options.collectFunc, options.input);
  const lossOf = loss as (output: unknown, batch: unknown) => number | Promise<number>;
  return async (model, context = {}) => {
    let sum = 0;
    let samples = 0;
    await inEvaluationMode(model, null, () =>
      forEachBatch("score", loader, loopOptions(options, context), async (batch) => {
        const inputs = inputsOf(batch);
        const output = await callModel(model, inputs, context.signal);
        try {
          const value = await lossOf(output, batch);
          if (typeof value !== "number")
            throw expected("ERR_SCORE_NAN", "a number", "the loss of a batch", value);
          const weight = sampleCount(inputs);
          sum += value * weight;
          samples += weight;
        } finally {
          closeTensors(output);
        }
      }),
    );
    return -(sum / samples);
  };
}

interface NativeScoreSettings {
  sign: 1 | -1;
  k?: number;
  teacher?: SearchModel;
  /** Of `teacherDistance`. */
  view?: TeacherView;
}

function nativeScore(
  kind: NativeScoreKind,
  loader: DataSource,
  options: ScoreOptions,
  settings: NativeScoreSettings,
): ScoreFunction {
  const { sign, teacher, k = 1, view } = settings;
  const inputsOf = inputsPicker(options.collectFunc, options.input);
  const targetOf = targetPicker(options.targetFunc, options.target);
  const needsTarget = teacher === undefined;
  const batchTarget = (batch: unknown): Tensor | null => (needsTarget ? targetOf(batch) : null);
  /** Undefined until a batch was looked at. */
  let plan: OutputPlan | undefined;
  /** Decides the plan; `always` also where the addon's own score would do as far as the targets show. */
  const look = async (
    model: SearchModel,
    batch: unknown,
    context: RunContext,
    always = false,
  ): Promise<void> => {
    const target = batchTarget(batch);
    if (kind === "teacherDistance") plan = null;
    else if (kind === "meanSquaredError" && teacher)
      plan = { outputKey: options.outputKey ?? null, classes: "second" };
    else if (always || needsLook(kind, target, options))
      plan = await planOutputs(kind, model, { inputs: inputsOf(batch), target }, options, context.signal);
    else plan = null;
  };
  /** Whether outputs that the addon's score refused can be scored all the same. */
  const reconsider = async (error: unknown, model: SearchModel, batch: unknown, context: RunContext) => {
    if (!(error instanceof TorchSearchError) || error.code !== "ERR_SCORE_INPUT") return false;
    await look(model, batch, context, true).catch(() => {});
    return plan != null;
  };

  const passNatively = async (
    model: SearchModel,
    data: TensorDataLoader,
    context: RunContext,
  ): Promise<number> => {
    const inputs = [positionOf(data, options.input ?? 0)];
    const target = needsTarget ? positionOf(data, options.target ?? 1) : -1;
    const score = new BatchScore(kind, k, view);
    const run = loopOptions(options, context);
    const stop = nativeStop(context, data, sign);
    let value = Number.NaN;
    await withProgress("score", data, run, async (tick) => {
      const done = await nativeEvaluate(
        model,
        data,
        score,
        { inputs, target, teacher, maxBatches: run.maxBatches, signal: run.signal, stop },
        tick,
      );
      if (done.bound !== undefined) context.stop?.onStop(done.samples);
      value = done.bound ?? done.value;
      return done.batches;
    });
    return value;
  };

  const passByBatches = async (model: SearchModel, context: RunContext): Promise<number> => {
    const score = new BatchScore(kind, k, view);
    const total = { sum: 0, count: 0 };
    let batches = 0;
    const addOutput = async (
      batch: unknown,
      { outputKey, classes }: NonNullable<OutputPlan>,
    ): Promise<void> => {
      const inputs = inputsOf(batch);
      const output = await callModel(model, inputs, context.signal);
      let other: unknown;
      try {
        const { tensor } = pickOutput(output, outputKey);
        if (teacher) other = await callModel(teacher, inputs, context.signal);
        const reference = teacher ? pickOutput(other, outputKey).tensor : targetOf(batch);
        const { sum, count } = scorePart(tensor, reference, { kind, classes, k });
        total.sum += sum;
        total.count += count;
      } finally {
        closeTensors([output, other]);
      }
    };
    await forEachBatch("score", loader, loopOptions(options, context), async (batch) => {
      if (plan === undefined) await look(model, batch, context);
      batches += 1;
      if (plan) return addOutput(batch, plan);
      try {
        await score.add(model, inputsOf(batch), batchTarget(batch), teacher ?? null, context.signal);
      } catch (error) {
        if (batches > 1 || !(await reconsider(error, model, batch, context))) throw error;
        await addOutput(batch, plan as unknown as NonNullable<OutputPlan>);
      }
    });
    if (!plan) return score.value();
    if (total.count === 0) throw nothingCounted();
    return total.sum / total.count;
  };

  const pass = async (model: SearchModel, context: RunContext): Promise<number> => {
    if (!(loader instanceof TensorDataLoader) || options.collectFunc || options.targetFunc)
      return passByBatches(model, context);
    const withFirst = async <T>(step: (batch: unknown) => Promise<T>): Promise<T> => {
      const batch = loader.batch(0);
      try {
        return await step(batch);
      } finally {
        closeTensors(batch);
      }
    };
    if (plan === undefined && loader.batches > 0) {
      positionOf(loader, options.input ?? 0);
      if (needsTarget) positionOf(loader, options.target ?? 1);
      await withFirst((batch) => look(model, batch, context));
    }
    if (plan) return passByBatches(model, context);
    try {
      return await passNatively(model, loader, context);
    } catch (error) {
      if (loader.batches === 0 || !(await withFirst((batch) => reconsider(error, model, batch, context))))
        throw error;
      return passByBatches(model, context);
    }
  };

  return async (model, context = {}) => {
    requireNativeHandle(model, `The score ${kind}`);
    if (teacher) requireNativeHandle(teacher, `The full model of the score ${kind}`);
    try {
      return sign * (await inEvaluationMode(model, teacher ?? null, () => pass(model, context)));
    } catch (error) {
      throw kind === "crossEntropy" && isNothingScored(error, loader) ? nothingCounted() : error;
    }
  };
}

/** Whether batches ran, and none of their targets counted. */
function isNothingScored(error: unknown, loader: DataSource): boolean {
  if (!(error instanceof TorchSearchError) || error.code !== "ERR_EMPTY_LOADER") return false;
  return /^Nothing was scored/.test(error.message) && batchCount(loader) !== 0;
}

function nothingCounted(): TorchSearchError {
  return new TorchSearchError(
    "ERR_SCORE_INPUT",
    "All targets are -100, the label that cross-entropy leaves out, so there is nothing to score. Check the array of the targets.",
  );
}

/**
 * The stop rule in the native score's unit. @throws `ERR_EARLY_STOPPING` for racing over samples that are not shuffled
 */
function nativeStop(
  { stop }: RunContext,
  loader: TensorDataLoader,
  sign: 1 | -1,
): { threshold: number; errorProbability: number } | undefined {
  if (!stop) return undefined;
  const { below, errorProbability } = stop;
  if (errorProbability > 0 && !loader.shuffled) {
    throw new TorchSearchError(
      "ERR_EARLY_STOPPING",
      "Racing needs samples in random order: give the score's loader shuffle: true, or use exact early stopping.",
    );
  }
  return { threshold: sign * below, errorProbability };
}

function loopOptions(
  options: ScoreOptions,
  context: RunContext,
): RunContext & { maxBatches: number | null; progressBarMsg: string | null } {
  return {
    ...context,
    maxBatches: options.maxBatches ?? null,
    progressBarMsg: context.silent === false ? "Scoring" : null,
  };
}

function positionOf(loader: TensorDataLoader, at: number | string): number {
  const index = loader.indexOf(at);
  if (index === null) {
    throw new TorchSearchError(
      "ERR_BATCH",
      `the loader's batches have no element ${JSON.stringify(at)}; name one of ${loader.keys == null ? "its positions" : listed(loader.keys)}`,
    );
  }
  return index;
}

/** The number of samples in a batch: the first dimension of the first tensor among the inputs; 1 without tensors. */
function sampleCount({ args, kwargs }: ModelInputs): number {
  const tensor = [...args, ...Object.values(kwargs)].find(isTensor);
  return tensor?.shape[0] ?? 1;
}

async function inEvaluationMode<T>(
  model: SearchModel,
  other: SearchModel | null,
  body: () => Promise<T>,
): Promise<T> {
  const models = other === null || other === model ? [model] : [model, other];
  const wereTraining = models.filter(({ training }) => training);
  for (const each of wereTraining) await each.eval();
  try {
    return await body();
  } finally {
    for (const each of wereTraining) await each.train(true);
  }
}
