/**
 * Built-in scores. Each is a factory: given data, it returns a {@link ScoreFunction}. A higher score is better, so
 * losses are negated.
 *
 * With a built-in loader and no `collectFunc` or `targetFunc`, a whole pass runs natively. With any other iterable,
 * JavaScript is called once per batch. The model is in evaluation mode during the pass; its mode is restored
 * afterwards.
 */

import type { DataSource } from "../data/data-source";
import { closeTensors, isTensor } from "../data/raw-tensor";
import type { ModelInputs } from "../model/inputs";
import { expected, isPositiveInteger, requireOptions } from "../util/check";
import { callModel, forEachBatch } from "./forward-loop";
import { inEvaluationMode, loopOptions, nativeScore, type ScoreOptions } from "./native-score";
import { inputsPicker } from "./pickers";
import type { TeacherView } from "./teacher-view";
import type { ScoreFunction, SearchModel } from "./types";

export type { ScoreOptions } from "./native-score";

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

/** The number of samples in a batch: the first dimension of the first tensor among the inputs; 1 without tensors. */
function sampleCount({ args, kwargs }: ModelInputs): number {
  const tensor = [...args, ...Object.values(kwargs)].find(isTensor);
  return tensor?.shape[0] ?? 1;
}
