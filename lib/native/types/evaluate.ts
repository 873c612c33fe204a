import type { NativeCall } from "./call";
import type { NativeDataset } from "./dataset";
import type { NativeForwardable } from "./module";
import type { NativeScore } from "./score";
import type { NativeTensor } from "./tensor";

/** Which tensors of a batch are the model's arguments, and how far to go. */
export interface NativeLoopOptions {
  inputs: number[];
  maxBatches?: number;
}

export interface NativeEvaluateOptions extends NativeLoopOptions {
  /** Which tensor of a batch is the target; -1 for none. */
  target: number;
  teacher?: NativeForwardable;
  /** When the pass may stop: its value can't reach the threshold, in the score's own unit and direction. */
  stop?: { threshold: number; errorProbability: number };
}

export interface NativeLoopResult {
  samples: number;
  batches: number;
  seconds: number;
}

export interface NativeEvaluation extends NativeLoopResult {
  value: number;
  /** The best that the whole pass could have given, where it was stopped. */
  bound?: number;
}

/** Exported by native/binding/evaluate.cpp. */
export interface EvaluateExports {
  evaluate(
    model: NativeForwardable,
    dataset: NativeDataset,
    score: NativeScore,
    options: NativeEvaluateOptions,
    call: NativeCall,
  ): Promise<NativeEvaluation>;
  forwardAll(
    model: NativeForwardable,
    dataset: NativeDataset,
    options: NativeLoopOptions,
    call: NativeCall,
  ): Promise<NativeLoopResult>;
  scoreBatch(
    model: NativeForwardable,
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor | null,
    score: NativeScore,
    options: { teacher?: NativeForwardable },
    call: NativeCall,
  ): Promise<void>;
}
