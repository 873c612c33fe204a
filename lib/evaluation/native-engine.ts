/** The native functions that forward loops and scores use. */

import type { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { type ModelInputs, nativeInputs } from "../model/inputs";
import type { Tensor } from "../model/tensor";
import { evaluate, forwardAll, scoreBatch } from "../native/evaluate";
import { makeScore } from "../native/score";
import type { NativeForwardable } from "../native/types/module";
import type { NativeScore, NativeScoreKind, NativeTeacherView } from "../native/types/score";
import type { SearchModel } from "./types";

/** The part of the data to run, and how to stop. */
export interface NativeRunOptions {
  /** Positions, in a batch, of the model's arguments. */
  inputs: number[];
  maxBatches?: number | null;
  signal?: AbortSignal | null;
}

/** Called with the number of batches done so far. */
export type Tick = (done: number) => void;

/** The native object behind a model, or null when it has none (a model written in JavaScript). */
export function nativeHandle(model: SearchModel): NativeForwardable | null {
  return (model as { native?: NativeForwardable }).native ?? null;
}

/** As {@link nativeHandle}, but refuses a model that has none. */
export function requireNativeHandle(model: SearchModel, what: string): NativeForwardable {
  const handle = nativeHandle(model);
  if (handle === null) {
    throw new TorchSearchError(
      "ERR_MODEL_NOT_NATIVE",
      `${what} runs natively and needs a Module or SearchSpace; for other models write a scoreFunc in JavaScript.`,
    );
  }
  return handle;
}

/** Runs the model over a whole data set natively, for its side effects, and returns the number of batches. */
export async function nativeForwardAll(
  model: SearchModel,
  loader: TensorDataLoader,
  options: NativeRunOptions,
  tick: Tick,
): Promise<number> {
  const handle = requireNativeHandle(model, "This forward loop");
  const { batches } = await forwardAll(handle, loader.native, loopOptions(options), {
    signal: options.signal,
    onProgress: ({ done }) => tick(done),
  });
  return batches;
}

/** Options of {@link nativeEvaluate}. */
export interface NativeEvaluateOptions extends NativeRunOptions {
  /** Position, in a batch, of the target; -1 for none. */
  target: number;
  /** The model to compare with, for scores that compare models. */
  teacher?: SearchModel | null;
  /** When to stop early; the threshold is in the score's own unit and direction. */
  stop?: { threshold: number; errorProbability: number };
}

/** The score of a pass, and how much of the data it covered. */
export interface NativeEvaluation {
  /** The mean over the batches that ran. */
  value: number;
  batches: number;
  samples: number;
  /** The best score that the whole pass could have reached, if it was stopped early; otherwise undefined. */
  bound?: number;
}

/** Runs the model over a whole data set natively, and scores every batch until the options stop it. */
export async function nativeEvaluate(
  model: SearchModel,
  loader: TensorDataLoader,
  score: BatchScore,
  options: NativeEvaluateOptions,
  tick: Tick,
): Promise<NativeEvaluation> {
  const handle = requireNativeHandle(model, "This score");
  const teacher = options.teacher ? requireNativeHandle(options.teacher, "A teacher") : undefined;
  const { target, stop, signal } = options;
  return evaluate(
    handle,
    loader.native,
    score.native,
    { ...loopOptions(options), target, teacher, ...(stop && { stop }) },
    { signal, onProgress: ({ done }) => tick(done) },
  );
}

/** A native score that receives its batches from JavaScript. */
export class BatchScore {
  /** @internal */
  readonly native: NativeScore;

  constructor(kind: NativeScoreKind, k = 1, teacher?: NativeTeacherView) {
    this.native = makeScore(kind, k, teacher);
  }

  /** Runs one batch and adds it to the score. */
  async add(
    model: SearchModel,
    inputs: ModelInputs,
    target: Tensor | null,
    teacher: SearchModel | null,
    signal?: AbortSignal | null,
  ): Promise<void> {
    const handle = requireNativeHandle(model, "This score");
    const other = teacher ? requireNativeHandle(teacher, "A teacher") : undefined;
    const native = target?.native ?? null;
    await scoreBatch(handle, nativeInputs(inputs), native, this.native, { teacher: other }, { signal });
  }

  /** What the mean so far is made of. */
  tally(): { sum: number; count: number } {
    return this.native.tally();
  }

  /** The mean so far. */
  value(): number {
    return this.native.value();
  }
}

function loopOptions({ inputs, maxBatches }: NativeRunOptions): { inputs: number[]; maxBatches?: number } {
  return maxBatches == null ? { inputs } : { inputs, maxBatches };
}
