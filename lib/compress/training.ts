/** The training of a step. */
import { batchCount } from "../data/data-source";
import { TorchSearchError } from "../errors";
import type { ScoreFunction } from "../evaluation/types";
import { finetune } from "../finetune/finetune";
import { DEFAULT_EPOCHS, type FinetuneOptions, readFinetuneOptions } from "../finetune/options";
import type { Module } from "../model/module";
import { chooseLearningRate } from "./learning-rate";
import type { CompleteCompressOptions } from "./options";
import type { PlannedStep } from "./plan";
import type { StepContext } from "./step-context";

/** How the training of a step is kept, reported and rated. */
interface TrainingRun {
  /** The file that keeps it while it is not done. */
  checkpoint: string;
  onProgress: CompleteCompressOptions["onProgress"];
  scoreFunc: ScoreFunction;
}

/** Trains a subnet in place. @returns the learning rate, and a sentence where it can't be done */
export async function trained(
  subnet: Module,
  planned: PlannedStep,
  context: StepContext,
  { checkpoint, onProgress, scoreFunc }: TrainingRun,
): Promise<{ learningRate: number; reason: string | null }> {
  const { options, training } = context;
  const how = trainingOptions(planned, context);
  const learningRate = how.learningRate ?? (await triedLearningRate(subnet, how, context, scoreFunc));
  try {
    await finetune(subnet, training, {
      ...how,
      learningRate,
      scoreFunc,
      checkpoint: options.checkpoint === null ? null : checkpoint,
      onProgress,
    });
    return { learningRate, reason: null };
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_LOSS_NAN")
      return { learningRate, reason: `training met numbers that are not finite (${error.message})` };
    throw error;
  }
}

/** The learning rate that trials choose; a resumed step has that of the run before. */
async function triedLearningRate(
  subnet: Module,
  how: Partial<FinetuneOptions>,
  { training, learningRate, copy, signal }: StepContext,
  score: ScoreFunction,
): Promise<number> {
  if (learningRate.known !== null) return learningRate.known;
  const { optimizer, epochs, steps, warmupSteps } = readFinetuneOptions(how);
  const batches = batchCount(training);
  const whole = steps ?? (batches === null ? null : batches * (epochs ?? DEFAULT_EPOCHS));
  const alone = { scoreFunc: null, checkpoint: null, onProgress: null, epochs: null };
  const chosen = await chooseLearningRate({
    subnet,
    steps: whole,
    optimizer,
    copy,
    train: (tried, rate, most) => {
      const warmup = Math.floor((warmupSteps * most) / (whole as number));
      return finetune(tried, training, {
        ...how,
        ...alone,
        learningRate: rate,
        steps: most,
        warmupSteps: warmup,
      });
    },
    score,
    signal,
  });
  await learningRate.keep(chosen);
  return chosen;
}

/** How a step is trained: the user's options, and what the compression decides. */
function trainingOptions(
  planned: PlannedStep,
  { options, full, rater, signal }: StepContext,
): Partial<FinetuneOptions> {
  const { loss, collectFunc, targetFunc, seed, epochs } = options;
  const labelled = loss !== null;
  return {
    ...(options.finetune.steps == null && { epochs: planned.last ? 2 * epochs : epochs }),
    recalibrate: true,
    ...options.finetune,
    teacher: full,
    alpha: labelled ? (options.finetune.alpha ?? null) : 1,
    loss: loss ?? "meanSquaredError",
    teacherOutputs: labelled ? null : rater.view,
    // There are no labels to smooth.
    ...(!labelled && { labelSmoothing: 0 }),
    collectFunc,
    targetFunc: labelled ? targetFunc : null,
    seed,
    signal,
  };
}
