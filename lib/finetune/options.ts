/** The options of training: their defaults and checks. */

import { rules } from "../contract/config";
import { Group } from "../distributed/group";
import { TorchSearchError } from "../errors";
import { LOSSES, type Loss } from "../evaluation/losses";
import type { OutputOptions } from "../evaluation/output-plan";
import { OUTPUT_RULES } from "../evaluation/output-rules";
import { OUTPUT_KINDS, type TeacherView } from "../evaluation/teacher-view";
import type { CollectFunction, ScoreFunction, SearchModel } from "../evaluation/types";
import type { NativeTrainOptions } from "../native/types/trainer";
import { isRecord } from "../util/check";
import { completeConfig } from "../util/complete-config";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, oneOf, orNull } from "../util/rules";
import type { BatchGradient } from "./loss-function";

/** How weights are changed. */
export const OPTIMIZERS = ["adamw", "sgd"] as const;
/** How the learning rate changes over the steps. */
export const SCHEDULES = ["cosine", "constant"] as const;
/** The learning rate and the weight decay of each optimizer where none is given. */
export const OPTIMIZER_DEFAULTS = {
  adamw: { learningRate: 1e-3, weightDecay: 0.01 },
  sgd: { learningRate: 1e-2, weightDecay: 1e-4 },
} as const satisfies Record<(typeof OPTIMIZERS)[number], object>;
/** Passes over the data where neither `epochs` nor `steps` is given. */
export const DEFAULT_EPOCHS = 1;
/** How a teacher counts where nothing else is given. */
export const DISTILLATION_DEFAULTS = { alpha: 0.5, temperature: 4 } as const;

/** How long, how fast and on which data a model is trained; shared by `finetune()` and `trainSupernet()`. */
export interface TrainingOptions extends OutputOptions {
  /** Passes over the data; default 1. */
  epochs?: number | null;
  /** Steps instead of `epochs`; each takes one batch. */
  steps?: number | null;
  /**
   * `adamw` (the default; Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) or `sgd`, with
   * momentum.
   */
  optimizer?: (typeof OPTIMIZERS)[number];
  /** The largest learning rate; default 1e-3 for `adamw`, 1e-2 for `sgd`. */
  learningRate?: number | null;
  /** Default 0.01 for `adamw`, 1e-4 for `sgd`. */
  weightDecay?: number | null;
  /** Whether weight decay also applies to biases and to the scales and shifts of norms; default false. */
  decayBiasesAndNorms?: boolean;
  /** `sgd`: default 0.9. */
  momentum?: number;
  /** `sgd`: Nesterov's momentum; default false. */
  nesterov?: boolean;
  /** `adamw`: decay of the averages of gradients and of their squares; default `[0.9, 0.999]`. */
  betas?: readonly [number, number];
  /** `adamw`: default 1e-8. */
  epsilon?: number;
  /** `cosine` (the default): falls along half a cosine after the warm-up (Loshchilov and Hutter, ICLR 2017). Or `constant`. */
  schedule?: (typeof SCHEDULES)[number];
  /** Steps over which the learning rate rises in a straight line; default 0. */
  warmupSteps?: number;
  /** The last learning rate of the cosine, as a share of `learningRate`; default 0. */
  finalShare?: number;
  /** Largest Euclidean norm of all gradients together; null (the default) for no limit. */
  clipNorm?: number | null;
  /**
   * `crossEntropy` (the default; logits `[N, C]`, `[N, C, …]` or `[N, T, V]`, targets whole numbers `[N]`, `[N, …]` or
   * `[N, T]`, -100 left out) or `meanSquaredError` (targets of the outputs' shape); the mean over a batch. `outputKey` and
   * `classDimension` say how outputs are read, where the first batch doesn't show it.
   */
  loss?: Loss;
  /** `crossEntropy`: the share of each label that is spread over all classes (Szegedy et al., CVPR 2016); default 0. */
  labelSmoothing?: number;
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** Picks the target tensor out of a batch; null (the default) takes the batch's second element. */
  targetFunc?: CollectFunction | null;
  /** Which parameters are trained, by name; null (the default) for those that require gradients, or all where none does. */
  trainable?: ((name: string) => boolean) | null;
  /**
   * Whether a `TensorDataLoader` is shuffled anew in each epoch; default true. Other sources choose their own order. It
   * must be the same in every pass if training is to be resumed.
   */
  shuffle?: boolean;
  /**
   * The processes that train together, of `joinGroup()`. Each has all data, runs the same steps, and learns some shards of
   * each batch; rank 0 writes the checkpoint. Null (the default) for this process alone.
   */
  group?: Group | null;
  /**
   * Shards that each batch is cut into along its samples. A shard is learned by itself: batch norms take its statistics,
   * and the loss is its mean. A step takes the mean of the shards' gradients, weighted by their samples, and adds them in
   * an order that depends on this number alone, so the result is the same for any number of processes. Null (the
   * default) for as many as the group has processes, or 1. Training that is resumed needs the same number.
   */
  dataShards?: number | null;
  /** Seed of the samples' order and of dropout and other random operators: a whole number of at least 0; default 0. */
  seed?: number;
  /** Rates the model before the first epoch and after each one; higher is better. The best weights are kept. */
  scoreFunc?: ScoreFunction | null;
  /** The file that training saves its state to and resumes from; null (the default) for none. */
  checkpoint?: string | null;
  /** Seconds between saves within an epoch; default 60. The state is also saved after each epoch and after an abort. */
  checkpointSeconds?: number;
  /** Stops training with `ERR_ABORTED`, within one batch. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

/** The options of `finetune()`. */
export interface FinetuneOptions extends TrainingOptions {
  /** A loss written in JavaScript, with its gradient; replaces `loss`. It is called once for each batch. */
  lossFunc?: BatchGradient | null;
  /**
   * The model to learn from, usually the full one (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).
   */
  teacher?: SearchModel | null;
  /** The share of the teacher in the loss, 0 to 1; default 0.5. With 1, no targets are needed. */
  alpha?: number | null;
  /** `crossEntropy`: both models' logits are divided by it for the teacher's part of the loss; default 4. */
  temperature?: number | null;
  /**
   * How all floating tensors of the outputs are compared with the teacher's, in place of the one that `loss` is of: what
   * each of them is, and which input masks positions. Null (the default) for that one.
   */
  teacherOutputs?: TeacherView | null;
  /** Whether batch norms get the plain average of all batches' statistics after training; default false. */
  recalibrate?: boolean;
}

/** Options with every default filled in. */
export type CompleteOptions<Options> = { [Key in keyof Options]-?: Exclude<Options[Key], undefined> };

/** Defaults of {@link TrainingOptions}; null where another option or the data decide. */
export const TRAINING_DEFAULTS: CompleteOptions<TrainingOptions> = {
  epochs: null,
  steps: null,
  optimizer: "adamw",
  learningRate: null,
  weightDecay: null,
  decayBiasesAndNorms: false,
  momentum: 0.9,
  nesterov: false,
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  schedule: "cosine",
  warmupSteps: 0,
  finalShare: 0,
  clipNorm: null,
  loss: "crossEntropy",
  outputKey: null,
  classDimension: null,
  onNotice: null,
  labelSmoothing: 0,
  collectFunc: null,
  targetFunc: null,
  trainable: null,
  shuffle: true,
  group: null,
  dataShards: null,
  seed: 0,
  scoreFunc: null,
  checkpoint: null,
  checkpointSeconds: 60,
  signal: null,
  onProgress: null,
};

/** Defaults of {@link FinetuneOptions}. */
export const FINETUNE_DEFAULTS: CompleteOptions<FinetuneOptions> = {
  ...TRAINING_DEFAULTS,
  lossFunc: null,
  teacher: null,
  alpha: null,
  temperature: null,
  teacherOutputs: null,
  recalibrate: false,
};

function isTeacherView(value: unknown): boolean {
  if (!isRecord(value) || !Array.isArray(value.kinds) || value.kinds.length === 0) return false;
  const { kinds, mask = null } = value;
  const masks =
    mask === null || typeof mask === "string" || (Number.isInteger(mask) && (mask as number) >= 0);
  return masks && kinds.every((kind) => (OUTPUT_KINDS as readonly unknown[]).includes(kind));
}

const belowOne: ConfigRule = {
  expected: "a number from 0 to below 1",
  accepts: (value) => typeof value === "number" && value >= 0 && value < 1,
};

export const TRAINING_RULES: Record<keyof TrainingOptions, ConfigRule> = {
  epochs: orNull(rules.positiveInteger),
  steps: orNull(rules.positiveInteger),
  optimizer: oneOf(OPTIMIZERS),
  learningRate: orNull(rules.positive),
  weightDecay: orNull(rules.nonNegative),
  decayBiasesAndNorms: rules.boolean,
  momentum: belowOne,
  nesterov: rules.boolean,
  betas: {
    expected: "two numbers from 0 to below 1",
    accepts: (value) => Array.isArray(value) && value.length === 2 && value.every(belowOne.accepts),
  },
  epsilon: rules.positive,
  schedule: oneOf(SCHEDULES),
  warmupSteps: rules.nonNegativeInteger,
  finalShare: rules.share,
  clipNorm: orNull(rules.positive),
  loss: oneOf(LOSSES),
  ...OUTPUT_RULES,
  onNotice: orNull(rules.func),
  labelSmoothing: belowOne,
  collectFunc: orNull(rules.func),
  targetFunc: orNull(rules.func),
  trainable: orNull(rules.func),
  shuffle: rules.boolean,
  group: orNull({ expected: "what joinGroup() gave", accepts: (value) => value instanceof Group }),
  dataShards: orNull(rules.positiveInteger),
  seed: rules.nonNegativeInteger,
  scoreFunc: orNull(rules.func),
  checkpoint: orNull(rules.path),
  checkpointSeconds: rules.nonNegative,
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
};

const FINETUNE_RULES: Record<keyof FinetuneOptions, ConfigRule> = {
  ...TRAINING_RULES,
  lossFunc: orNull(rules.func),
  teacher: {
    expected: "a Module or null",
    accepts: (value) => value === null || (typeof value === "object" && "native" in (value as object)),
  },
  alpha: orNull(rules.share),
  temperature: orNull(rules.positive),
  teacherOutputs: orNull({
    expected: `{ kinds, mask }, where kinds are of ${OUTPUT_KINDS.join(", ")}`,
    accepts: isTeacherView,
  }),
  recalibrate: rules.boolean,
};

/**
 * Completes and checks options. @throws `ERR_UNKNOWN_CONFIG_KEY` naming the nearest one, `ERR_CONFIG_VALUE`
 */
export function readOptions<Options extends TrainingOptions>(
  given: Options | null | undefined,
  defaults: CompleteOptions<Options>,
  checks: Record<keyof Options, ConfigRule>,
): CompleteOptions<Options> {
  const options = completeConfig<CompleteOptions<Options> & CompleteOptions<TrainingOptions>>(
    given as Partial<CompleteOptions<Options> & CompleteOptions<TrainingOptions>> | null | undefined,
    defaults as CompleteOptions<Options> & CompleteOptions<TrainingOptions>,
    checks,
    { whole: "options", key: "option" },
  );
  if (options.epochs !== null && options.steps !== null) {
    throw conflict("expected only one of epochs and steps but received both; drop one");
  }
  if (options.nesterov && options.optimizer !== "sgd")
    throw conflict('nesterov belongs to optimizer "sgd"; drop it, or choose that optimizer');
  if (options.nesterov && options.momentum === 0)
    throw conflict("nesterov needs a momentum above 0; give one, or drop nesterov");
  if (options.labelSmoothing > 0 && options.loss !== "crossEntropy")
    throw conflict('labelSmoothing belongs to loss "crossEntropy"; drop it');
  return options;
}

/** @throws `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE` */
export function readFinetuneOptions(
  given: FinetuneOptions | null | undefined,
): CompleteOptions<FinetuneOptions> {
  const options = readOptions(given, FINETUNE_DEFAULTS, FINETUNE_RULES);
  const { alpha, temperature, teacherOutputs } = options;
  if (options.teacher === null && (alpha !== null || temperature !== null || teacherOutputs !== null)) {
    throw conflict("alpha, temperature and teacherOutputs belong to a teacher; give one, or drop them");
  }
  if (options.lossFunc !== null && teacherOutputs !== null)
    throw conflict("teacherOutputs belongs to the built-in losses; drop it, or lossFunc");
  if (options.lossFunc !== null && shardsOf(options) > 1)
    throw conflict("lossFunc rates whole batches; drop group and dataShards, or take a built-in loss");
  if (options.lossFunc !== null && options.labelSmoothing > 0)
    throw conflict("lossFunc replaces the built-in loss; drop labelSmoothing");
  return options;
}

/** The options that say how outputs are read, where they were given: what belongs to a checkpoint. */
export function outputSettings({
  outputKey,
  classDimension,
}: CompleteOptions<TrainingOptions>): Record<string, string> {
  return { ...(outputKey !== null && { outputKey }), ...(classDimension !== null && { classDimension }) };
}

/** Into how many shards each batch is cut. */
export function shardsOf({ group, dataShards }: CompleteOptions<TrainingOptions>): number {
  return dataShards ?? group?.worldSize ?? 1;
}

/** The share of the teacher in the loss. */
export function alphaOf({ teacher, alpha }: CompleteOptions<FinetuneOptions>): number {
  return teacher === null ? 0 : (alpha ?? DISTILLATION_DEFAULTS.alpha);
}

/** The options that both trainers pass to the addon. `totalSteps` is null where the schedule doesn't need it. */
export function nativeOptions(
  options: CompleteOptions<TrainingOptions>,
  totalSteps: number | null,
  parameters: readonly string[],
): NativeTrainOptions {
  const { learningRate, weightDecay } = OPTIMIZER_DEFAULTS[options.optimizer];
  const shards = shardsOf(options);
  const names = options.trainable === null ? undefined : parameters.filter(options.trainable);
  if (names !== undefined && names.length === 0) {
    throw new TorchSearchError(
      "ERR_NO_PARAMETERS",
      `trainable accepts none of the ${parameters.length} parameters, such as ${parameters[0] ?? "none"}; ` +
        "accept at least one.",
    );
  }
  return {
    optimizer: options.optimizer,
    learningRate: options.learningRate ?? learningRate,
    weightDecay: options.weightDecay ?? weightDecay,
    decayVectors: options.decayBiasesAndNorms,
    momentum: options.momentum,
    nesterov: options.nesterov,
    beta1: options.betas[0],
    beta2: options.betas[1],
    epsilon: options.epsilon,
    schedule: options.schedule,
    warmupSteps: options.warmupSteps,
    finalShare: options.finalShare,
    totalSteps: totalSteps ?? undefined,
    clipNorm: options.clipNorm ?? 0,
    loss: options.loss,
    labelSmoothing: options.labelSmoothing,
    seed: options.seed,
    ...(shards > 1 && { dataShards: shards }),
    ...(names !== undefined && { trainable: names }),
  };
}

function conflict(message: string): TorchSearchError {
  return new TorchSearchError("ERR_CONFIG_VALUE", message);
}
