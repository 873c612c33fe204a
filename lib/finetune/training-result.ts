import type { NativeTrainer } from "../native/addon";
import type { EpochRecord, TrainingState } from "./training-run";

/** What came of training, whatever was trained. */
export interface TrainingResult {
  /** Steps done, those of earlier runs that a checkpoint continued among them. */
  steps: number;
  /** What each epoch came to, in order; the last one may have been cut short by `steps`. */
  epochs: EpochRecord[];
  /** Score before training; null without a `scoreFunc`. */
  before: number | null;
  /** Score of the weights that there are now; null without a `scoreFunc`. */
  score: number | null;
  /** The epoch after which those weights were there, 0 for before training; null without a `scoreFunc`. */
  bestEpoch: number | null;
  /** Names of the parameters that were trained. */
  trained: string[];
}

/** The result of a run that has ended. */
export function resultOf(state: TrainingState, trainer: NativeTrainer): TrainingResult {
  const { steps, epochs, before, score, best } = state;
  return { steps, epochs, before, score, bestEpoch: best?.epoch ?? null, trained: trainer.trained() };
}
