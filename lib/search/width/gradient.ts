import { rules, type SearchConfig } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import type { CollectFunction } from "../../evaluation/types";
import { IMPORTANCE_LOSSES, type ImportanceLoss } from "../../space/importance";
import type { SubnetConfig } from "../../space/types";
import { type ConfigRule, oneOf, orNull } from "../../util/rules";
import { type MilpReport, solveKnapsack } from "../solver/knapsack";
import { SpaceSearcher, type SpaceSearchState } from "./space-searcher";

/** The config of {@link GradientSearcher}. */
export interface GradientSearchConfig extends SearchConfig {
  /** The loss whose gradients are taken, computed natively; see `ImportanceConfig.loss`. Default `crossEntropy`. */
  gradientLoss: ImportanceLoss;
  /** Picks the target tensor out of a batch of `dataLoader`; null (the default) takes the batch's second element. */
  targetFunc: CollectFunction | null;
  /** Accept a solution whose gap to the proven bound is at most this share of it. Default 0: optimal. */
  gap: number;
  /** Seconds for the solver, or null for no limit. Default 60. */
  timeLimit: number | null;
}

/** What {@link GradientSearcher} keeps. */
export interface GradientSearchState extends SpaceSearchState {
  /**
   * By hyperparameter and channel, in the order in which they are kept: how much the loss of a batch changes, to first
   * order, without the channel. Null before it was measured.
   */
  channelScores: Record<string, number[]> | null;
  /** The solution's certificate, in units of the loss; null until there is one. */
  knapsack: MilpReport | null;
}

/**
 * Finds widths from one pass of gradients: importance in the unit of the loss, under a knapsack.
 *
 * 1. *Gradients.* Over the batches of `dataLoader`, each channel's importance is |sum of w * dL/dw| over the weights that
 *    read it, the first-order change of the loss when it is removed (Molchanov et al., "Importance Estimation for Neural Network
 *    Pruning", CVPR 2019), averaged over batches and not normalized, so that layers compare.
 * 2. *Knapsack.* A width costs the sum of the importances of the channels that it drops; the least sum within all budgets is
 *    found exactly by integer programming (Aflalo et al., "Knapsack Pruning with Inner Distillation", 2020; Shen et al.,
 *    "Structural Pruning via Latency-Saliency Knapsack", NeurIPS 2022, with latency). `stateDict.knapsack` tells the gap.
 * 3. What was found is recalibrated and scored, once.
 *
 * First-order importance of a whole residual block says little, so that blocks are left out only where no widths meet the
 * budgets; likewise hyperparameters of the user's own, of which it says nothing, keep the model's values. Which channels a width drops is the conversion's order: convert with `importance: "taylor"` for the same measure.
 *
 * Constraints may be any mix of the space's metrics. It needs a `scoreFunc`, which is called once, and a `dataLoader` with
 * targets, of batches that are small (32, say): contributions of samples cancel within one. The state is saved
 * after the gradients and at the end. Nothing is random.
 *
 * @throws from `search`: `ERR_CONFIG_VALUE` without a `dataLoader`; `ERR_GRADIENT`, `ERR_SCORE_INPUT`, `ERR_IMPORTANCE_NAN`,
 *   `ERR_EMPTY_LOADER`, `ERR_BATCH` from the gradients; `ERR_SOLVER`; what {@link SpaceSearcher.beforeSearch} and
 *   `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new GradientSearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   dataLoader: data,
 *   maxIterDataLoader: 2,
 * });
 * console.log(stateDict.best?.config);
 * ```
 */
export class GradientSearcher extends SpaceSearcher<GradientSearchState, GradientSearchConfig> {
  override get defaultSearchConfig(): GradientSearchConfig {
    return {
      ...super.defaultSearchConfig,
      gradientLoss: "crossEntropy",
      targetFunc: null,
      gap: 0,
      timeLimit: 60,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      gradientLoss: oneOf(IMPORTANCE_LOSSES),
      targetFunc: orNull(rules.func),
      gap: rules.share,
      timeLimit: orNull(rules.positive),
    };
  }

  get defaultStateDict(): GradientSearchState {
    return { fullCosts: null, bounds: null, channelScores: null, knapsack: null, best: null };
  }

  protected override forgetBounds(): void {
    Object.assign(this.state, { knapsack: null, best: null });
  }

  override async beforeSearch(): Promise<void> {
    if (this.config.dataLoader === null) {
      throw new TorchSearchError(
        "ERR_CONFIG_VALUE",
        "GradientSearcher takes gradients on batches: give some with targets as dataLoader.",
      );
    }
    await super.beforeSearch();
  }

  async runSearch(): Promise<void> {
    const { state, model } = this;
    if (state.channelScores === null) {
      const { dataLoader, collectFunc, targetFunc, gradientLoss, maxIterDataLoader } = this.config;
      const { signal, onProgress } = this.config;
      state.channelScores = await model.channelScores({
        data: dataLoader as NonNullable<typeof dataLoader>,
        collectFunc,
        targetFunc,
        loss: gradientLoss,
        maxBatches: maxIterDataLoader,
        signal,
        onProgress,
      });
      await this.saveSearchCheckpoint();
    }
    if (state.best === null) {
      const config = await this.#solve(state.channelScores);
      state.best = await this.measure(config);
      await this.saveSearchCheckpoint();
    }
    const { score } = state.best;
    this.reportSpace({ phase: "search", done: 1, total: 1, message: `found the subnet: score ${score}` });
    this.log(`Found the subnet: score ${score}.`);
  }

  async #solve(channelScores: Readonly<Record<string, readonly number[]>>): Promise<SubnetConfig> {
    const { model, limits } = this;
    const dropped = model.hyperparameters.map(({ name, choices }) => {
      const scores = channelScores[name] as readonly number[];
      return choices.map((width) => scores.slice(width).reduce((sum, score) => sum + score, 0));
    });
    const all = dropped.flat().reduce((sum, harm) => sum + harm, 0);
    const last = all === 0 ? 1 : all;
    const harms = model.hyperparameters.map(({ kind, choices }, h) =>
      kind === "depth" || kind === "custom"
        ? choices.map((_, at) => (at === choices.length - 1 ? 0 : last))
        : (dropped[h] as number[]),
    );
    const { gap, timeLimit, signal } = this.config;
    const { config, report } = await solveKnapsack(model, harms, limits, model.smallestConfig, {
      gap,
      timeLimit,
      signal,
      onProgress: (event) => this.report(event),
      log: (line) => this.log(line),
    });
    this.state.knapsack = report;
    return config;
  }
}
