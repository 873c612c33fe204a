import { rules, type SearchConfig } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import { LOSSES, type Loss } from "../../evaluation/losses";
import { OUTPUT_RULES } from "../../evaluation/output-rules";
import type { ClassDimension } from "../../evaluation/output-scores";
import type { CollectFunction } from "../../evaluation/types";
import type { SpaceSearchState, SubnetConfig } from "../../space/types";
import { type ConfigRule, oneOf, orNull } from "../../util/rules";
import { solveKnapsack } from "../solver/knapsack";
import { type MilpReport, SOLVER_DEFAULTS, SOLVER_RULES, type SolverConfig } from "../solver/rounds";
import { SpaceSearcher } from "./space-searcher";

/** The config of {@link GradientSearcher}. */
export interface GradientSearchConfig extends SearchConfig, SolverConfig {
  /** The loss whose gradients are taken, computed natively; see `ChannelScoreConfig.loss`. */
  loss: Loss;
  /** Picks the target tensor out of a batch of `dataLoader`; null takes the batch's second element. */
  targetFunc: CollectFunction | null;
  /** Which tensor of the output that loss is of; as in `ScoreOptions`. */
  outputKey: string | null;
  /** Where the classes of an output are; as in `ScoreOptions`. */
  classDimension: ClassDimension | null;
}

/** What {@link GradientSearcher} keeps. */
export interface GradientSearchState extends SpaceSearchState {
  /**
   * By hyperparameter and channel, in the order in which channels are kept: how much the loss of a batch changes, to
   * first order, without the channel. Null before it was measured.
   */
  channelScores: Record<string, number[]> | null;
  /** The solution's certificate, in units of the loss; null until there is one. */
  knapsack: MilpReport | null;
}

/**
 * Finds widths from one pass of gradients: importance in the unit of the loss, under a knapsack.
 *
 * 1. *Gradients.* Over the batches of `dataLoader`, channel i's importance is I(i) = |sum of w dL/dw| over the weights
 *    w that read it, the first-order change of the loss L when it is removed (Molchanov et al., "Importance Estimation
 *    for Neural Network Pruning", CVPR 2019), averaged over batches and not normalized, so that layers compare.
 * 2. *Knapsack.* Width c of hyperparameter h costs d(h, c), the sum of I(i) over the channels i >= c that it drops. The
 *    least sum of d within all constraints is found exactly by integer programming (Aflalo et al., "Knapsack Pruning
 *    with Inner Distillation", 2020; Shen et al., "Structural Pruning via Latency-Saliency Knapsack", NeurIPS 2022,
 *    with latency). `stateDict.knapsack` holds the dual bound and the gap.
 * 3. The subnet is recalibrated and scored, once.
 *
 * First-order importance of a whole residual block says little, so blocks are left out only where no widths meet the
 * constraints. It says nothing of hyperparameters of the user's own, so these keep the model's values likewise. Which
 * channels a width drops is the conversion's order: convert with `importance: "taylor"` for the same measure.
 *
 * Constraints may be any mix of the space's metrics. The searcher needs a `scoreFunc`, which is called once, and a
 * `dataLoader` with targets in small batches (32, say): contributions of samples cancel within a batch. The state is
 * saved after the gradients and at the end. Nothing is random.
 *
 * @throws from `search`: `ERR_CONFIG_VALUE` without a `dataLoader`; `ERR_GRADIENT`, `ERR_SCORE_INPUT`,
 *   `ERR_IMPORTANCE_NAN`, `ERR_EMPTY_LOADER`, `ERR_BATCH` from the gradients; `ERR_SOLVER`; what {@link
 *   SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
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
      loss: "crossEntropy",
      targetFunc: null,
      outputKey: null,
      classDimension: null,
      ...SOLVER_DEFAULTS,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { loss: oneOf(LOSSES), targetFunc: orNull(rules.func), ...OUTPUT_RULES, ...SOLVER_RULES };
  }

  get defaultStateDict(): GradientSearchState {
    return { fullCosts: null, bounds: null, channelScores: null, knapsack: null, best: null };
  }

  protected override get lasting(): readonly (keyof GradientSearchState)[] {
    return ["channelScores"];
  }

  override async beforeSearch(): Promise<void> {
    if (this.config.dataLoader === null) {
      throw new TorchSearchError(
        "ERR_CONFIG_VALUE",
        "GradientSearcher takes gradients on batches: set dataLoader to batches with targets.",
      );
    }
    await super.beforeSearch();
  }

  async runSearch(): Promise<void> {
    const { state } = this;
    if (state.channelScores === null) {
      state.channelScores = await this.tools.once(() => this.#takeGradients());
      await this.saveSearchCheckpoint();
    }
    if (state.best === null) {
      const config = await this.#solve(this.#harms(state.channelScores));
      state.best = await this.measure(config);
      await this.saveSearchCheckpoint();
    }
    const { score } = state.best;
    this.reportSpace({ phase: "search", done: 1, total: 1, message: `found the subnet: score ${score}` });
    this.log(`Found the subnet: score ${score}.`);
  }

  /** Step 1. */
  #takeGradients(): Promise<Record<string, number[]>> {
    const { dataLoader, collectFunc, targetFunc, loss, maxIterDataLoader, signal, onProgress } = this.config;
    const { outputKey, classDimension } = this.config;
    return this.model.channelScores({
      data: dataLoader as NonNullable<typeof dataLoader>,
      collectFunc,
      targetFunc,
      loss,
      outputKey,
      classDimension,
      maxBatches: maxIterDataLoader,
      signal,
      onProgress,
    });
  }

  /** d(h, c) of step 2. Leaving out a block, or a value of the user's own, harms as much as all channels together. */
  #harms(channelScores: Readonly<Record<string, readonly number[]>>): number[][] {
    const { hyperparameters } = this.model;
    const dropped = hyperparameters.map(({ name, choices }) => {
      const scores = channelScores[name] as readonly number[];
      return choices.map((width) => scores.slice(width).reduce((sum, score) => sum + score, 0));
    });
    const all = dropped.flat().reduce((sum, harm) => sum + harm, 0);
    const last = all === 0 ? 1 : all;
    return hyperparameters.map(({ kind, choices }, h) =>
      kind === "depth" || kind === "custom"
        ? choices.map((_, at) => (at === choices.length - 1 ? 0 : last))
        : (dropped[h] as number[]),
    );
  }

  /** Step 2. */
  async #solve(harms: readonly (readonly number[])[]): Promise<SubnetConfig> {
    const { model: space, bounds } = this;
    const { gap, timeLimit, signal } = this.config;
    const { config, report } = await this.tools.once(() =>
      solveKnapsack(space, harms, bounds, space.smallestConfig, {
        gap,
        timeLimit,
        signal,
        onProgress: (event) => this.report(event),
        log: (line) => this.log(line),
      }),
    );
    this.state.knapsack = report;
    return config;
  }
}
