/** The importances of channels: their names, what each needs, and putting a space's channels in their order. */

import { rules } from "../contract/config";
import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { LOSSES, type Loss } from "../evaluation/losses";
import { OUTPUT_RULES } from "../evaluation/output-rules";
import type { ClassDimension } from "../evaluation/output-scores";
import type { CollectFunction, SearchModel } from "../evaluation/types";
import { callNative } from "../native/call";
import { makeImportance } from "../native/importance";
import type { NativeSearchSpace } from "../native/types/search-space";
import { expected } from "../util/check";
import { completeConfig } from "../util/complete-config";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, oneOf, orNull } from "../util/rules";
import { feedMeasure } from "./measure";

/** The needs of a measure of importance, beside the weights. */
interface ImportanceNeeds {
  /** Batches. */
  data: boolean;
  /** Targets in these batches. */
  targets: boolean;
}

const WEIGHTS_ONLY: ImportanceNeeds = { data: false, targets: false };

/**
 * The measures of importance, by which channels are ranked; the least important channels are dropped first. A measure
 * is taken of every parameter or layer that a channel runs through, divided by its mean over the channels, and summed.
 * docs/importance.md has the formulas and compares the measures.
 */
export const IMPORTANCE_TABLE = {
  /** The sum of the absolute weights (Li et al., ICLR 2017). */
  l1: WEIGHTS_ONLY,
  /** The Euclidean norm of the weights (Li et al., ICLR 2017). */
  l2: WEIGHTS_ONLY,
  /** The sum of the distances from all other channels of a layer (He et al., CVPR 2019). */
  fpgm: WEIGHTS_ONLY,
  /**
   * The magnitude of batch norm's scale (Liu et al., ICCV 2017). Channels without a batch norm are ranked by the scales
   * of their other norms, and channels without any norm by `l1`.
   */
  bnScale: WEIGHTS_ONLY,
  /** |sum of weight x gradient|, summed over batches (Molchanov et al., CVPR 2019). */
  taylor: { data: true, targets: true },
  /** The mean absolute value that the next layers read (Molchanov et al., ICLR 2017). */
  activation: { data: true, targets: false },
  /** The share of a squared norm in those of all slices that are no smaller (Lee et al., ICLR 2021). */
  lamp: WEIGHTS_ONLY,
  /** Hessian diagonal x squared weight / 2, with the empirical Fisher matrix for a Hessian (LeCun et al., NIPS 1989). */
  obd: { data: true, targets: true },
  /**
   * The place in the order in which channels are taken away, each time those that the others can best stand for where
   * they are read (Hassibi and Stork, NIPS 1992). Meant for subnets that are reconstructed.
   */
  obs: { data: true, targets: false },
  /** Drawn by seed, as a baseline. */
  random: WEIGHTS_ONLY,
} as const satisfies Record<string, ImportanceNeeds>;

/** The name of a measure of importance. */
export type Importance = keyof typeof IMPORTANCE_TABLE;

/** How channels are ranked where nothing else is said. */
export const DEFAULT_IMPORTANCE: Importance = "l1";

/** Every {@link Importance}. */
export const IMPORTANCES = Object.keys(IMPORTANCE_TABLE) as readonly Importance[];

/** The values of `importance`: every measure, `none`, which leaves the channels in their order, and `auto`. */
export const IMPORTANCE_CHOICES: readonly (Importance | "none" | "auto")[] = [...IMPORTANCES, "none", "auto"];

/** Importances that need no data. */
export const WEIGHT_IMPORTANCES = IMPORTANCES.filter((name) => !IMPORTANCE_TABLE[name].data);

/** What a trial of `importance: "auto"` found. */
export interface TriedImportance {
  /** The measure. */
  importance: Importance;
  /** The sum of the scores at the trial widths: the higher, the better. */
  score: number;
}

/** The needs of a choice of `importance`; `auto` takes targets where the config says how to read them. */
export function importanceNeeds(importance: Importance | "none" | "auto"): ImportanceNeeds {
  if (importance === "auto") return { data: true, targets: false };
  return importance === "none" ? WEIGHTS_ONLY : IMPORTANCE_TABLE[importance];
}

/** The part of a conversion's config that says how channels are ranked. */
export interface ImportanceConfig {
  /**
   * How channels are ranked; the least important ones are dropped first. Default `l1`. `none` leaves them in their
   * order. Use it for a model whose weights `trainSupernet()` has trained: the leading channels serve all its subnets.
   * `auto` tries the measures on `data`, and takes the one that loses least with all layers at three quarters and at half
   * of their widths, batch norms recalibrated: by `loss`, or without one by the distance of the outputs from the full
   * model's. `SearchSpace.importances` has what was tried.
   */
  importance?: Importance | "none" | "auto";
  /** Seed of `random` and `obd`: a whole number of at least 0; default 0. */
  seed?: number;
  /**
   * Batches that `taylor`, `obd`, `activation` and `obs` learn from. They are walked once and never held together. A few hundred
   * samples of training data are enough.
   */
  data?: DataSource | null;
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** Picks the target tensor out of a batch, for `taylor` and `obd`; null (the default) takes the batch's second element. */
  targetFunc?: CollectFunction | null;
  /**
   * The loss whose gradients `taylor` and `obd` take: `crossEntropy` (the default; logits `[N, C]` or `[N, C, …]`, targets whole
   * numbers `[N]` or `[N, …]`) or `meanSquaredError` (targets of the outputs' shape). It is computed natively: a
   * function written in JavaScript has no gradients.
   */
  loss?: Loss | null;
  /** Which tensor of the output that loss is of, for `taylor`; as in `ScoreOptions`. */
  outputKey?: string | null;
  /** Where the classes of an output are, for `taylor`; as in `ScoreOptions`. */
  classDimension?: ClassDimension | null;
  /** At most so many batches; null (the default) for all. */
  maxBatches?: number | null;
}

/** The defaults of {@link ImportanceConfig}. */
export const IMPORTANCE_DEFAULTS: Required<ImportanceConfig> = {
  importance: DEFAULT_IMPORTANCE,
  seed: 0,
  data: null,
  collectFunc: null,
  targetFunc: null,
  loss: null,
  outputKey: null,
  classDimension: null,
  maxBatches: null,
};

/** The rules of {@link ImportanceConfig}. */
export const IMPORTANCE_RULES: Record<keyof ImportanceConfig, ConfigRule> = {
  importance: oneOf(IMPORTANCE_CHOICES),
  seed: rules.nonNegativeInteger,
  data: orNull(rules.dataSource),
  collectFunc: orNull(rules.func),
  targetFunc: orNull(rules.func),
  loss: orNull(oneOf(LOSSES)),
  ...OUTPUT_RULES,
  maxBatches: orNull(rules.positiveInteger),
};

const DATA_KEYS = ["data", "collectFunc", "maxBatches"] as const;
const TARGET_KEYS = ["targetFunc", "loss", "outputKey", "classDimension"] as const;

/** @throws `ERR_CONFIG_VALUE` where the measure and the data don't go together */
export function requireMatchingData(config: Required<ImportanceConfig>): void {
  const { importance, data } = config;
  const needs = importanceNeeds(importance);
  if (needs.data && data === null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `importance "${importance}" is learned from batches: give some as data, such as a TensorDataLoader over training samples`,
    );
  }
  const takesTargets = needs.targets || importance === "auto";
  const unused = [...(needs.data ? [] : DATA_KEYS), ...(takesTargets ? [] : TARGET_KEYS)];
  const given = unused.find((key) => config[key] !== null);
  if (given === undefined) return;
  const need = (TARGET_KEYS as readonly string[]).includes(given) ? "targets" : "data";
  const users = IMPORTANCES.filter((name) => IMPORTANCE_TABLE[name][need]).map((name) => `"${name}"`);
  throw new TorchSearchError(
    "ERR_CONFIG_VALUE",
    `importance "${importance}" has no use for ${given}: drop it, or choose importance ${users.join(" or ")}`,
  );
}

/**
 * Puts a space's channels in order of importance, in place.
 *
 * @returns the settings that decide which channels a width stands for, as a part of the space's fingerprint
 * @throws `ERR_EMPTY_LOADER`, `ERR_IMPORTANCE_NAN`, `ERR_GRADIENT`, and the errors of the data and of the model
 */
export async function orderChannels(
  model: SearchModel,
  space: NativeSearchSpace,
  config: Required<ImportanceConfig> & { importance: Importance | "none" },
  run: { signal: AbortSignal | null; onProgress: ProgressListener | null },
): Promise<Record<string, string | number>> {
  const { importance, seed, data, loss } = config;
  if (importance === "none") return { importance };
  const measure = makeImportance(importance, { seed, loss: loss ?? undefined });
  if (data !== null) await feedMeasure({ phase: "importance", model, space, measure }, data, config, run);
  const order = await callNative((call) => space.reorder(measure, call), run.signal);
  if (importance === "random") return { importance, seed };
  // Whatever the data: a width stands for the same channels where the orders are the same.
  return measure.needsData ? { importance, order } : { importance };
}

/** The data that `SearchSpace.channelScores` learns from; keys as in {@link ImportanceConfig}. */
export interface ChannelScoreConfig
  extends Pick<
    ImportanceConfig,
    "collectFunc" | "targetFunc" | "loss" | "outputKey" | "classDimension" | "maxBatches"
  > {
  /** Batches with targets. */
  data: DataSource;
  /** Ends the call with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

/** The measure that `SearchSpace.rankChannels` takes, and what it learns from. */
export interface RankConfig extends ImportanceConfig {
  /** Ends the call with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

/** A hyperparameter's channels among those of others. */
export interface ChannelRank {
  /**
   * What the channels run through: the same text for hyperparameters whose layers are of the same kinds and tied in the
   * same way, whatever their sizes. Empty for one that counts no channels.
   */
  structure: string;
  /** By channel, in the order in which channels are kept, divided by their mean; empty likewise. */
  scores: number[];
}

/** Measures channels by any importance, and gives the scores by native hyperparameter. */
export async function scoreChannels(
  model: SearchModel,
  space: NativeSearchSpace,
  config: RankConfig,
): Promise<number[][]> {
  const { signal = null, onProgress = null, ...given } = config;
  const complete = completeConfig<Required<ImportanceConfig>>(given, IMPORTANCE_DEFAULTS, IMPORTANCE_RULES, {
    whole: "config",
    key: "config key",
  });
  const { importance, seed, data, loss } = complete;
  if (importance === "none" || importance === "auto") {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `importance "${importance}" is no measure: choose one of ${IMPORTANCES.join(", ")}.`,
    );
  }
  requireMatchingData(complete);
  const measure = makeImportance(importance, { seed, loss: loss ?? undefined });
  const run = { signal, onProgress };
  if (data !== null) await feedMeasure({ phase: "importance", model, space, measure }, data, complete, run);
  return callNative((call) => space.scores(measure, false, call), signal);
}

/** Takes gradients over the data, and gives the channels' scores by hyperparameter. */
export async function measureChannels(
  model: SearchModel,
  space: NativeSearchSpace,
  config: ChannelScoreConfig,
): Promise<number[][]> {
  const { data, collectFunc = null, targetFunc = null, loss = null, maxBatches = null } = config;
  const { outputKey = null, classDimension = null, signal = null, onProgress = null } = config;
  if (!isDataSource(data)) throw expected("ERR_CONFIG_VALUE", "batches", "data", data);
  const measure = makeImportance("taylor", { loss: loss ?? undefined });
  const run = { signal, onProgress };
  const options = { collectFunc, targetFunc, loss, outputKey, classDimension, maxBatches };
  await feedMeasure({ phase: "importance", model, space, measure }, data, options, run);
  return callNative((call) => space.scores(measure, true, call), signal);
}
