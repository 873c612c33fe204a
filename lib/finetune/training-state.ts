/** How far training is, how long it goes on, and what a run is made of. */

import { batchCount, type DataSource } from "../data/data-source";
import type { TrainingShare } from "../distributed/shared-training";
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import type { NativeTrainer } from "../native/types/trainer";
import type { BatchGradient } from "./loss-function";
import { type CompleteOptions, DEFAULT_EPOCHS, type TrainingOptions } from "./options";

/** A finished epoch. */
export interface EpochRecord {
  /** Counted from 1. */
  epoch: number;
  /** Steps done by its end, in all epochs. */
  steps: number;
  /** Mean of its batches' losses. */
  loss: number;
  /** Of its last step. */
  learningRate: number;
  /** Score after it; null without a `scoreFunc`. */
  score: number | null;
}

/** The `details` of a progress event of training. */
export interface TrainingProgress {
  /** Steps done. */
  step: number;
  /** Counted from 1. */
  epoch: number;
  /** Of the last step. */
  loss: number;
  /** Of the last step. */
  learningRate: number;
  /** Null until it is known. */
  samplesPerSecond: number | null;
  [key: string]: unknown;
}

/** How far training is, as a checkpoint keeps it. */
export interface TrainingState {
  steps: number;
  /** The epoch being trained, counted from 0. */
  epoch: number;
  /** Losses of its batches so far. */
  losses: number[];
  epochs: EpochRecord[];
  /** Score before the first step; null without a `scoreFunc`, or before it is measured. */
  before: number | null;
  best: { epoch: number; score: number } | null;
  /** Score of the final weights. */
  score: number | null;
  recalibratedBatches: number;
  finished: boolean;
}

/** The state before the first step. */
export function initialState(): TrainingState {
  return {
    steps: 0,
    epoch: 0,
    losses: [],
    epochs: [],
    before: null,
    best: null,
    score: null,
    recalibratedBatches: 0,
    finished: false,
  };
}

/** How long training goes on. */
export interface TrainingLength {
  /** Null where it is not known beforehand. */
  totalSteps: number | null;
  /** Null where steps are counted. */
  epochs: number | null;
}

/** @throws `ERR_CONFIG_VALUE` where the end of a cosine schedule is not known */
export function lengthOf(data: DataSource, options: CompleteOptions<TrainingOptions>): TrainingLength {
  if (options.steps !== null) return { totalSteps: options.steps, epochs: null };
  const epochs = options.epochs ?? DEFAULT_EPOCHS;
  const batches = batchCount(data);
  if (batches === null && options.schedule === "cosine") {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      "the data don't say how many batches they have, so the end of the cosine is not known: " +
        'give steps, or schedule: "constant"',
    );
  }
  return { totalSteps: batches === null ? null : epochs * batches, epochs };
}

/** What a run needs besides the options. */
export interface TrainingParts {
  /** The module whose weights are trained. */
  module: Module;
  /** Measures its score; null for none. `when` says how far training is. */
  rate: ((when: string) => Promise<number>) | null;
  trainer: NativeTrainer;
  data: DataSource;
  length: TrainingLength;
  /** Options that must be the same when training is resumed. */
  settings: Record<string, unknown>;
  /** What the caller records in the checkpoint. */
  annotations: Record<string, unknown>;
  needsTarget: boolean;
  /** Whether the loss is of one tensor of the outputs. */
  picksOutput: boolean;
  lossFunc: BatchGradient | null;
  recalibrate: boolean;
  share: TrainingShare;
}
