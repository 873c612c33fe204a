import type { NativeTrainer } from "../native/types/trainer";
import type { EpochRecord, TrainingState } from "./training-state";

/** The outcome of training a module or a supernet. */
export interface TrainingResult {
  /** Steps done, including those before an interruption. */
  steps: number;
  /** The epochs in order; `steps` may have cut the last one short. */
  epochs: EpochRecord[];
  /** Score before training; null without a `scoreFunc`. */
  before: number | null;
  /** Score of the final weights; null without a `scoreFunc`. */
  score: number | null;
  /** The epoch that the final weights come from, 0 for before training; null without a `scoreFunc`. */
  bestEpoch: number | null;
  /** Names of the parameters that were trained. */
  trained: string[];
}

/** The result of a run that has ended. */
export function resultOf(state: TrainingState, trainer: NativeTrainer): TrainingResult {
  const { steps, epochs, before, score, best } = state;
  return { steps, epochs, before, score, bestEpoch: best?.epoch ?? null, trained: trainer.trained() };
}
