import { rules } from "../../contract/config";
import { sampleWithin } from "../../space/sampling";
import { ITERATIVE_KEYS, type IterativeSearchState, iterativeState, Trials } from "../../space/trials";
import type { ConfigRule } from "../../util/rules";
import { SpaceSearcher } from "./space-searcher";
import { ITERATIVE_DEFAULTS, ITERATIVE_RULES, type IterativeSearchConfig, iterate } from "./trials";

/** The config of {@link RandomSearcher}. */
export interface RandomSearchConfig extends IterativeSearchConfig {
  /** Share of at least one bound that every candidate must take, 0 to 1. See {@link RandomSearcher}. */
  minBudgetUse: number;
}

/** What {@link RandomSearcher} keeps. */
export type RandomSearchState = IterativeSearchState;

/**
 * Random search: scores subnets drawn at random among those that meet the constraints, and keeps the best. The baseline
 * of every other searcher, and hard to beat where few hyperparameters matter (Bergstra and Bengio, "Random Search for
 * Hyper-Parameter Optimization", JMLR 13, 2012).
 *
 * A draw is a uniform choice of each hyperparameter. After 20 draws that exceed a bound, random hyperparameters of the
 * last one are narrowed until it fits, so that a tight bound takes no more time than a loose one. Since uniform widths
 * leave most bounds half unused, `minBudgetUse: 0.85`, say, widens candidates that take less than 85 % of each bound.
 *
 * The defaults are those of `RandomSearcher` in NVIDIA ModelOpt (`modelopt.torch.nas`): 5000 candidates, no lower
 * bound. ModelOpt scores nothing for a draw that exceeds the bound; here every candidate counts.
 *
 * Constraints may be any mix of the space's metrics. With a `checkpoint`, an interrupted search goes on and ends as an
 * uninterrupted one; a larger `numIters` goes on from a finished one. The seed decides what is drawn.
 *
 * @throws from `search`: what {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new RandomSearcher().search(space, { params: "70%" }, dummyInput, {
 *   scoreFunc,
 *   numIters: 5,
 * });
 * console.log(stateDict.best?.costs.params);
 * ```
 */
export class RandomSearcher extends SpaceSearcher<RandomSearchState, RandomSearchConfig> {
  override get defaultSearchConfig(): RandomSearchConfig {
    return { ...super.defaultSearchConfig, ...ITERATIVE_DEFAULTS, minBudgetUse: 0 };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { ...ITERATIVE_RULES, minBudgetUse: rules.share };
  }

  get defaultStateDict(): RandomSearchState {
    return iterativeState();
  }

  protected override get lasting(): readonly (keyof RandomSearchState)[] {
    return ITERATIVE_KEYS;
  }

  async runSearch(): Promise<void> {
    const { model: space, state, bounds, random, config, tools } = this;
    const sampler = {
      propose: () => sampleWithin(space, bounds, config.minBudgetUse, random),
      ahead: () => Number.POSITIVE_INFINITY,
      uselessBelow: () => state.best?.score ?? null,
    };
    await iterate(tools, new Trials(tools, state), sampler, config);
  }
}
