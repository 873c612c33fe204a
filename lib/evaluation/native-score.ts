/** Built-in scores of a kind: as one pass, natively or batch by batch, and by parts. */
import { batchCount, type DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import type { Tensor } from "../model/tensor";
import type { NativeScoreKind } from "../native/types/score";
import { throwIfAborted } from "../util/abort";
import { listed } from "../util/listed";
import { callModel, forEachBatch, withProgress } from "./forward-loop";
import { BatchScore, nativeEvaluate, requireNativeHandle } from "./native-engine";
import { needsLook, type OutputOptions, type OutputPlan, planOutputs } from "./output-plan";
import { pickOutput, scorePart } from "./output-scores";
import { inputsPicker, targetPicker } from "./pickers";
import { batchesOf, type ScorePart, withParts } from "./score-parts";
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

/** What a kind of score needs beyond the options. */
export interface NativeScoreSettings {
  sign: 1 | -1;
  k?: number;
  teacher?: SearchModel;
  /** Of `teacherDistance`. */
  view?: TeacherView;
}

/** A score that the addon computes over native loaders, and batch by batch over others. */
export function nativeScore(
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

  /** What a batch adds to the score, by the plan. */
  const partOf = async (model: SearchModel, batch: unknown, context: RunContext): Promise<ScorePart> => {
    const inputs = inputsOf(batch);
    if (!plan) {
      const score = new BatchScore(kind, k, view);
      await score.add(model, inputs, batchTarget(batch), teacher ?? null, context.signal);
      const { sum, count } = score.tally();
      return [sum, count];
    }
    const { outputKey, classes } = plan;
    const output = await callModel(model, inputs, context.signal);
    let other: unknown;
    try {
      const { tensor } = pickOutput(output, outputKey);
      if (teacher) other = await callModel(teacher, inputs, context.signal);
      const reference = teacher ? pickOutput(other, outputKey).tensor : targetOf(batch);
      const { sum, count } = scorePart(tensor, reference, { kind, classes, k });
      return [sum, count];
    } finally {
      closeTensors([output, other]);
    }
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
    const addOutput = async (batch: unknown): Promise<void> => {
      const [sum, count] = await partOf(model, batch, context);
      total.sum += sum;
      total.count += count;
    };
    await forEachBatch("score", loader, loopOptions(options, context), async (batch) => {
      if (plan === undefined) await look(model, batch, context);
      batches += 1;
      if (plan) return addOutput(batch);
      try {
        await score.add(model, inputsOf(batch), batchTarget(batch), teacher ?? null, context.signal);
      } catch (error) {
        if (batches > 1 || !(await reconsider(error, model, batch, context))) throw error;
        await addOutput(batch);
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

  const requireHandles = (model: SearchModel): void => {
    requireNativeHandle(model, `The score ${kind}`);
    if (teacher) requireNativeHandle(teacher, `The full model of the score ${kind}`);
  };
  const whole: ScoreFunction = async (model, context = {}) => {
    requireHandles(model);
    try {
      return sign * (await inEvaluationMode(model, teacher ?? null, () => pass(model, context)));
    } catch (error) {
      throw kind === "crossEntropy" && isNothingScored(error, loader) ? nothingCounted() : error;
    }
  };
  return withParts(whole, () => {
    const source = batchesOf(loader, options.maxBatches ?? null);
    if (source === null || source.count === 0) return null;
    const measure = async (model: SearchModel, context: RunContext, first: number, end: number) => {
      if (plan === undefined) await source.use(0, (batch) => look(model, batch, context));
      const parts: ScorePart[] = [];
      for (let at = first; at < end; at++) {
        throwIfAborted(context.signal);
        parts.push(await source.use(at, (batch) => partOf(model, batch, context)));
      }
      return parts;
    };
    return {
      batches: source.count,
      async measure(model, context, first, end) {
        requireHandles(model);
        const run = () => inEvaluationMode(model, teacher ?? null, () => measure(model, context, first, end));
        try {
          return await run();
        } catch (error) {
          if (plan || !(await source.use(0, (batch) => reconsider(error, model, batch, context))))
            throw error;
          return run();
        }
      },
      combine(parts) {
        const [sum, count] = parts.reduce(([s, c], [part, n]) => [s + part, c + n], [0, 0]);
        if (count === 0) throw nothingCounted();
        return sign * (sum / count);
      },
    };
  });
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

/** The options of a pass. */
export function loopOptions(
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

/** Runs `body` with models in evaluation mode; their modes are restored afterwards. */
export async function inEvaluationMode<T>(
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
