import { rules, type SearchConfig } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import { LOSSES, type Loss } from "../../evaluation/losses";
import { OUTPUT_RULES } from "../../evaluation/output-rules";
import type { ClassDimension } from "../../evaluation/output-scores";
import type { CollectFunction } from "../../evaluation/types";
import { type ChannelRank, IMPORTANCES, type Importance, importanceNeeds } from "../../space/importance";
import type { SpaceSearchState, SubnetConfig } from "../../space/types";
import { type ConfigRule, oneOf, orNull } from "../../util/rules";
import { areRanks, configOfShare, RANKINGS, type Ranking, rankedChannels } from "./channel-ranking";
import { SpaceSearcher } from "./space-searcher";

/** The config of {@link RankingSearcher}. */
export interface RankingSearchConfig extends SearchConfig {
  /** Which channels are ranked with each other; default `isomorphic`. */
  ranking: Ranking;
  /** The measure that ranks them; default `l2`. One that learns gets the batches of `dataLoader`. */
  importance: Importance;
  /** The loss that `taylor` and `obd` take gradients of; null for `crossEntropy`. */
  loss: Loss | null;
  /** Picks the target tensor out of a batch of `dataLoader`, for these; null takes the batch's second element. */
  targetFunc: CollectFunction | null;
  /** Which tensor of the output that loss is of; as in `ScoreOptions`. */
  outputKey: string | null;
  /** Where the classes of an output are; as in `ScoreOptions`. */
  classDimension: ClassDimension | null;
}

/** What {@link RankingSearcher} keeps. */
export interface RankingSearchState extends SpaceSearchState {
  /** The channels' scores and structures by hyperparameter, with the measure that they are of; null before it was taken. */
  ranks: { importance: Importance; loss: Loss | null; channels: Record<string, ChannelRank> } | null;
  /** How they were ranked; null before. */
  ranking: Ranking | null;
  /** The score without each block alone, by hyperparameter; null unless blocks had to be left out. */
  withoutBlock: Record<string, number> | null;
  /** The share of each class's channels that is dropped; null until it is known. */
  share: number | null;
}

/**
 * Ranks channels by their importance and drops the last of them, until all constraints hold: one measure of the
 * channels, and one subnet that is scored.
 *
 * 1. *Scores.* A channel's score is its `importance`, divided by the mean over the channels of its hyperparameter.
 * 2. *Ranking.* Channels are ranked with others of their class: with all (`global`; as in Fang et al., "DepGraph:
 *    Towards Any Structural Pruning", CVPR 2023), with those of layers of the same structure (`isomorphic`; Fang et al.,
 *    "Isomorphic Pruning for Vision Models", ECCV 2024), or within each hyperparameter (`local`, which makes all layers
 *    narrower by the same share). Every class drops the same share r of its channels, those with the least scores. Widths
 *    are rounded up to the next choice. Bisection finds the least r at which every constraint holds.
 * 3. The subnet is recalibrated and scored, once.
 *
 * Blocks stay, unless the smallest widths exceed a bound. Then the score without each block alone is measured, and blocks
 * are left out in the order of these scores, the highest first, until the smallest widths meet the bounds. Where the
 * conversion fixes all widths, this removes blocks by their measured damage. Hyperparameters of the user's own keep the
 * model's values.
 *
 * Which channels a width drops is the conversion's order: convert with the same `importance`. Where the orders differ, a
 * channel counts as much as the most important one that is dropped before it. Constraints may be any mix of the space's
 * metrics. The state is saved after each step. Nothing is random but `importance: "random"`, which the seed decides.
 *
 * @throws from `search`: `ERR_CONFIG_VALUE` for a measure that learns, without a `dataLoader`; `ERR_GRADIENT`,
 *   `ERR_SCORE_INPUT`, `ERR_IMPORTANCE_NAN`, `ERR_EMPTY_LOADER`, `ERR_BATCH` from the measure; what {@link
 *   SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new RankingSearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   dataLoader: data, // recalibrates batch norms
 *   maxIterDataLoader: 2,
 * });
 * console.log(stateDict.best?.config, stateDict.share);
 * ```
 */
export class RankingSearcher extends SpaceSearcher<RankingSearchState, RankingSearchConfig> {
  override get defaultSearchConfig(): RankingSearchConfig {
    return {
      ...super.defaultSearchConfig,
      ranking: "isomorphic",
      importance: "l2",
      loss: null,
      targetFunc: null,
      outputKey: null,
      classDimension: null,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ranking: oneOf(RANKINGS),
      importance: oneOf(IMPORTANCES),
      loss: orNull(oneOf(LOSSES)),
      targetFunc: orNull(rules.func),
      ...OUTPUT_RULES,
    };
  }

  get defaultStateDict(): RankingSearchState {
    return {
      fullCosts: null,
      bounds: null,
      ranks: null,
      ranking: null,
      withoutBlock: null,
      share: null,
      best: null,
    };
  }

  protected override get lasting(): readonly (keyof RankingSearchState)[] {
    return ["ranks", "withoutBlock"];
  }

  override async beforeSearch(): Promise<void> {
    const { importance, dataLoader } = this.config;
    if (importanceNeeds(importance).data && dataLoader === null) {
      throw new TorchSearchError(
        "ERR_CONFIG_VALUE",
        `importance "${importance}" is learned from batches: set dataLoader, or choose a measure of the weights, such as "l2".`,
      );
    }
    await super.beforeSearch();
  }

  async runSearch(): Promise<void> {
    const { state, config, model: space } = this;
    const { importance, ranking } = config;
    const loss = importanceNeeds(importance).targets ? config.loss : null;
    const { ranks } = state;
    const known = ranks?.importance === importance && ranks.loss === loss;
    if (!known || !areRanks(space.hyperparameters, ranks.channels)) {
      const channels = await this.tools.once(() => this.#rank());
      state.ranks = { importance, loss, channels };
      state.best = null;
      await this.saveSearchCheckpoint();
    }
    if (state.best === null || state.ranking !== ranking) {
      const blocks = await this.#blocks();
      const { channels } = state.ranks as NonNullable<typeof ranks>;
      const ranked = rankedChannels(space.hyperparameters, channels, ranking);
      const start = { ...space.largestConfig, ...blocks };
      const { share, config: found } = configOfShare(ranked, start, (each) => this.fits(each));
      if (!this.fits(found)) {
        throw new TorchSearchError(
          "ERR_CONSTRAINT_UNREACHABLE",
          "The constraints can't be reached with the model's own values of the hyperparameters that were added: " +
            "raise a bound, or take another searcher, which chooses them.",
        );
      }
      state.share = share;
      state.ranking = ranking;
      state.best = await this.measure(found);
      await this.saveSearchCheckpoint();
    }
    const { score } = state.best;
    this.reportSpace({ phase: "search", done: 1, total: 1, message: `found the subnet: score ${score}` });
    this.log(`Found the subnet: score ${score}.`);
  }

  /** Step 1. */
  #rank(): Promise<Record<string, ChannelRank>> {
    const { importance, seed, dataLoader, collectFunc, maxIterDataLoader, signal, onProgress } = this.config;
    const { loss, targetFunc, outputKey, classDimension } = this.config;
    const needs = importanceNeeds(importance);
    const data = { data: dataLoader, collectFunc, maxBatches: maxIterDataLoader };
    const targets = { loss, targetFunc, outputKey, classDimension };
    return this.model.rankChannels({
      importance,
      seed,
      ...(needs.data && data),
      ...(needs.targets && targets),
      signal,
      onProgress,
    });
  }

  /** The blocks that must be left out so that the smallest widths meet the bounds. */
  async #blocks(): Promise<SubnetConfig> {
    const { model: space, state } = this;
    const removable = space.hyperparameters.filter(
      ({ kind, choices }) => kind === "depth" && choices[0] === 0,
    );
    const left: SubnetConfig = Object.fromEntries(removable.map(({ name }) => [name, 1]));
    const custom = space.hyperparameters.filter(({ kind }) => kind === "custom");
    const own = Object.fromEntries(custom.map(({ name }) => [name, space.largestConfig[name] as number]));
    const fits = (): boolean => this.fits({ ...space.smallestConfig, ...own, ...left });
    if (fits()) return left;
    if (!removable.every(({ name }) => Number.isFinite(state.withoutBlock?.[name]))) {
      const configs = removable.map(({ name }) => ({ ...space.largestConfig, [name]: 0 }));
      const scored = await this.measureAll(configs);
      state.withoutBlock = Object.fromEntries(
        removable.map(({ name }, at) => [name, scored[at]?.score as number]),
      );
      await this.saveSearchCheckpoint();
    }
    const scores = state.withoutBlock as Record<string, number>;
    // Sorting is stable: of equal ones the earlier block goes first.
    const order = removable
      .map(({ name }) => name)
      .sort((a, b) => (scores[b] as number) - (scores[a] as number));
    for (const name of order) {
      left[name] = 0;
      if (fits()) break;
    }
    return left;
  }
}
