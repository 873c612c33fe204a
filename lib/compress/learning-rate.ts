/** The learning rate of a step's training, by trying a few for a short time. */
import { TorchSearchError } from "../errors";
import type { ScoreFunction } from "../evaluation/types";
import { OPTIMIZER_DEFAULTS } from "../finetune/options";
import type { Module } from "../model/module";
import { throwIfAborted } from "../util/abort";

/** Shares of the optimizer's usual learning rate. The weights of reconstructed layers are good, and large steps undo them. */
const SHARES = [1, 0.3, 0.1];
/** A trial takes such a share of the steps, and at least so many. */
const TRIAL = { share: 1 / 16, least: 16 };
/** What a trial says that went wrong. */
const NOT_FINITE = new Set(["ERR_LOSS_NAN", "ERR_SCORE_NAN"]);

/** What trying learning rates takes. */
export interface LearningRateTrial {
  /** The subnet, which stays as it is. */
  subnet: Module;
  /** The steps of the training to come; null where the data don't say. */
  steps: number | null;
  optimizer: keyof typeof OPTIMIZER_DEFAULTS;
  /** Makes a copy of a module. */
  copy(module: Module): Promise<Module>;
  /** Trains a module in place, with a whole schedule within so many steps. */
  train(module: Module, learningRate: number, steps: number): Promise<unknown>;
  score: ScoreFunction;
  signal: AbortSignal | null;
}

/**
 * The learning rate that scores best after a sixteenth of the steps: the optimizer's usual one, or 0.3 or 0.1 times as
 * much. The usual one where there are too few steps to try, or every trial meets numbers that are not finite.
 */
export async function chooseLearningRate({
  subnet,
  steps,
  optimizer,
  copy,
  train,
  score,
  signal,
}: LearningRateTrial): Promise<number> {
  const usual = OPTIMIZER_DEFAULTS[optimizer].learningRate;
  const trial = Math.max(TRIAL.least, Math.ceil(TRIAL.share * (steps ?? 0)));
  if (steps === null || steps < SHARES.length * trial) return usual;
  let best: { learningRate: number; score: number } = {
    learningRate: usual,
    score: Number.NEGATIVE_INFINITY,
  };
  for (const share of SHARES) {
    throwIfAborted(signal);
    const tried = await copy(subnet);
    try {
      await train(tried, share * usual, trial);
      const found = await score(tried, { signal, silent: true });
      if (found > best.score) best = { learningRate: share * usual, score: found };
    } catch (error) {
      if (!(error instanceof TorchSearchError) || !NOT_FINITE.has(error.code)) throw error;
    } finally {
      tried.close();
    }
  }
  return best.learningRate;
}
