/** The importances of channels: their names, what each needs, and putting a space's channels in their order. */

import { type DataSource, elementAt, firstElement, isDataSource } from "../data/data-source";
import { isTensor } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { forEachBatch, withProgress } from "../evaluation/forward-loop";
import type { CollectFunction, RunContext } from "../evaluation/types";
import { splitInputs } from "../model/inputs";
import { toNative } from "../model/values";
import { callNative } from "../native/call";
import { makeImportance } from "../native/importance";
import type { NativeImportance } from "../native/types/importance";
import type { NativeSearchSpace } from "../native/types/search-space";
import { expected } from "../util/check";
import type { ProgressListener } from "../util/progress";

/**
 * How channels are ranked; the least important ones go first. Every one sums, over all the parameters or layers that a
 * channel runs through, that parameter's values for the channel divided by their mean. docs/importance.md has the
 * formulas and compares them.
 *
 * - `l1`, `l2`: the norm of the channel's weights (Li et al., ICLR 2017)
 * - `bn_scale`: the magnitude of batch norm's scale (Liu et al., ICCV 2017); channels without a batch norm go by their
 *   other norms' scales, without any by `l1`
 * - `taylor`: |sum of weight x gradient|, summed over batches (Molchanov et al., CVPR 2019); needs data with targets
 * - `activation`: the mean absolute value that the next layers read (Molchanov et al., ICLR 2017); needs data
 * - `random`: by seed, as a baseline
 */
export const IMPORTANCES = ["l1", "l2", "bn_scale", "taylor", "activation", "random"] as const;
/** One of {@link IMPORTANCES}. */
export type Importance = (typeof IMPORTANCES)[number];

/** The losses that `taylor` can take gradients of. */
export const IMPORTANCE_LOSSES = ["crossEntropy", "mse"] as const;
/** One of {@link IMPORTANCE_LOSSES}. */
export type ImportanceLoss = (typeof IMPORTANCE_LOSSES)[number];

/** Importances that are learnt from batches. */
const DATA_IMPORTANCES: readonly string[] = ["taylor", "activation"];

/** Importances that need no data. */
export const WEIGHT_IMPORTANCES: readonly Importance[] = IMPORTANCES.filter(
  (name) => !DATA_IMPORTANCES.includes(name),
);

/** The part of a conversion's config that says how channels are ranked. */
export interface ImportanceConfig {
  /**
   * How channels are ranked; the least important ones go first. Default `l1`. `none` leaves them in the order that they
   * have: for a model whose weights `trainSupernet()` has trained, where the leading channels are those that serve all
   * subnets.
   */
  importance?: Importance | "none";
  /** Seed of `random`: a whole number of at least 0; default 0. */
  seed?: number;
  /**
   * Batches that `taylor` and `activation` learn from; they are walked once and never held together. A few hundred
   * samples of training data will do.
   */
  data?: DataSource | null;
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** Picks the target tensor out of a batch, for `taylor`; null (the default) takes the batch's second element. */
  targetFunc?: CollectFunction | null;
  /**
   * The loss whose gradients `taylor` takes: `crossEntropy` (the default; logits `[N, C]` or `[N, C, …]`, targets whole
   * numbers `[N]` or `[N, …]`) or `mse` (targets of the outputs' shape). It is computed natively: a function written in
   * JavaScript has no gradients.
   */
  lossFunc?: ImportanceLoss | null;
  /** At most so many batches; null (the default) for all. */
  maxBatches?: number | null;
}

/** @throws `ERR_CONFIG_VALUE` where the measure and the data don't go together */
export function requireMatchingData(config: Required<ImportanceConfig>): void {
  const { importance, data } = config;
  const needsData = DATA_IMPORTANCES.includes(importance);
  if (needsData && data === null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `importance "${importance}" is learnt from batches: give some as data, such as a TensorDataLoader over training samples`,
    );
  }
  const dataKeys = ["data", "collectFunc", "maxBatches"] as const;
  const targetKeys = ["targetFunc", "lossFunc"] as const;
  const unused = [...(needsData ? [] : dataKeys), ...(importance === "taylor" ? [] : targetKeys)];
  const given = unused.find((key) => config[key] !== null);
  if (given !== undefined) {
    const users = (targetKeys as readonly string[]).includes(given) ? '"taylor"' : '"taylor" or "activation"';
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `importance "${importance}" has no use for ${given}: drop it, or choose importance ${users}`,
    );
  }
}

/**
 * Puts a space's channels in order of importance, in place.
 *
 * @returns what of it decides which channels a width stands for, to be part of the space's fingerprint
 * @throws `ERR_EMPTY_LOADER`, `ERR_IMPORTANCE_NAN`, `ERR_GRADIENT`, and what walking the data and running the model throw
 */
export async function orderChannels(
  space: NativeSearchSpace,
  config: Required<ImportanceConfig>,
  run: { signal: AbortSignal | null; onProgress: ProgressListener | null },
): Promise<Record<string, string | number>> {
  const { importance, seed, data, lossFunc } = config;
  if (importance === "none") return { importance };
  const measure = makeImportance(importance, { seed, loss: lossFunc ?? undefined });
  if (data !== null) await learnImportance(space, measure, data, config, run);
  const order = await callNative((call) => space.reorder(measure, call), run.signal);
  if (importance === "random") return { importance, seed };
  // Whatever the data was: a width stands for the same channels where the orders are the same.
  return measure.needsData ? { importance, order } : { importance };
}

/** Feeds batches to a measure. */
export async function learnImportance(
  space: NativeSearchSpace,
  measure: NativeImportance,
  data: DataSource,
  config: Pick<Required<ImportanceConfig>, "collectFunc" | "targetFunc" | "maxBatches">,
  run: RunContext,
): Promise<void> {
  const { collectFunc, targetFunc, maxBatches } = config;
  const options = { ...run, maxBatches };
  if (data instanceof TensorDataLoader && !collectFunc && !targetFunc) {
    const loop = { inputs: [0], target: measure.needsTarget ? positionOfTarget(data) : -1 };
    await withProgress("importance", data, options, async (tick) => {
      const { batches } = await callNative(
        (call) =>
          space.measureAll(measure, data.native, maxBatches === null ? loop : { ...loop, maxBatches }, call),
        run.signal,
        ({ done }) => tick(done),
      );
      return batches;
    });
    return;
  }
  const collect = (collectFunc ?? firstElement) as (batch: unknown) => unknown;
  const pickTarget = (targetFunc ?? ((batch: unknown) => elementAt(batch, 1))) as (batch: unknown) => unknown;
  await forEachBatch("importance", data, options, async (batch) => {
    const { args, kwargs } = splitInputs(collect(batch));
    const target = measure.needsTarget ? pickTarget(batch) : null;
    if (target !== null && !isTensor(target)) {
      throw expected("ERR_BATCH", "a tensor", "the target of a batch", target);
    }
    await callNative(
      (call) =>
        space.measure(
          measure,
          toNative(args) as unknown[],
          toNative(kwargs) as Record<string, unknown>,
          target?.native ?? null,
          call,
        ),
      run.signal,
    );
  });
}

function positionOfTarget(loader: TensorDataLoader): number {
  const position = loader.indexOf(1);
  if (position === null) {
    throw new TorchSearchError(
      "ERR_BATCH",
      'The batches have no second element for importance "taylor" to take as the target; add the targets to the loader.',
    );
  }
  return position;
}

/** What `SearchSpace.channelScores` learns from; keys as in {@link ImportanceConfig}. */
export interface ChannelScoreConfig
  extends Pick<ImportanceConfig, "collectFunc" | "targetFunc" | "lossFunc" | "maxBatches"> {
  /** Batches with targets. */
  data: DataSource;
  /** Ends the call with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

/** Takes gradients over the data; scores by hyperparameter. */
export async function measureChannels(
  space: NativeSearchSpace,
  config: ChannelScoreConfig,
): Promise<number[][]> {
  const { data, collectFunc = null, targetFunc = null, lossFunc = null, maxBatches = null } = config;
  const { signal = null, onProgress = null } = config;
  if (!isDataSource(data)) throw expected("ERR_CONFIG_VALUE", "batches", "data", data);
  const measure = makeImportance("taylor", { loss: lossFunc ?? undefined });
  const run = { signal, onProgress };
  await learnImportance(space, measure, data, { collectFunc, targetFunc, maxBatches }, run);
  return callNative((call) => space.scores(measure, true, call), signal);
}
