/** Running models over data natively. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeDataset } from "./types/dataset";
import type {
  NativeEvaluateOptions,
  NativeEvaluation,
  NativeLoopOptions,
  NativeLoopResult,
} from "./types/evaluate";
import type { NativeForwardable, NativeInputs } from "./types/module";
import type { NativeScore } from "./types/score";
import type { NativeTensor } from "./types/tensor";

/** Runs a model over a data set and adds every batch to a score. */
export function evaluate(
  model: NativeForwardable,
  dataset: NativeDataset,
  score: NativeScore,
  options: NativeEvaluateOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeEvaluation> {
  return callNative((call) => addon().evaluate(model, dataset, score, options, call), signal, onProgress);
}

/** Runs a model over a data set for its side effects. */
export function forwardAll(
  model: NativeForwardable,
  dataset: NativeDataset,
  options: NativeLoopOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeLoopResult> {
  return callNative((call) => addon().forwardAll(model, dataset, options, call), signal, onProgress);
}

/** Runs a model on one batch and adds it to a score. */
export function scoreBatch(
  model: NativeForwardable,
  { args, kwargs }: NativeInputs,
  target: NativeTensor | null,
  score: NativeScore,
  options: { teacher?: NativeForwardable },
  { signal, onProgress }: CallControl,
): Promise<void> {
  return callNative(
    (call) => addon().scoreBatch(model, args, kwargs, target, score, options, call),
    signal,
    onProgress,
  );
}
