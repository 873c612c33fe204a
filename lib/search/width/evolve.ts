import { rules } from "../../contract/config";
import type { SubnetConfig } from "../../space/types";
import type { ConfigRule } from "../../util/rules";
import { type IterativeSearchConfig, IterativeSearcher, type IterativeSearchState } from "./iterative";
import { crossover, fitWithin, mutate, sampleWithin } from "./sampling";

/** The config of {@link EvolveSearcher}. */
export interface EvolveSearchConfig extends IterativeSearchConfig {
  /** Candidates of a generation. Default 100. */
  populationSize: number;
  /** How many of the best become parents of the next generation. Default 25. */
  candidateSize: number;
  /** Probability that a mutation draws a hyperparameter anew. Default 0.1. */
  mutationProb: number;
  /** Share of at least one budget that every candidate must take, 0 to 1. Default 0.85. */
  minBudgetUse: number;
}

/** What {@link EvolveSearcher} keeps. */
export interface EvolveSearchState extends IterativeSearchState {
  /** The present generation so far, as rows of `candidates`. */
  population: number[];
  /** The parents of the present generation, the best first, as rows of `candidates`; none in the first one. */
  parents: number[];
}

/**
 * Evolutionary search within the constraints (Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform
 * Sampling", ECCV 2020, algorithm 1).
 *
 * The first generation is random. Of each later one, half are mutations of a random parent (each hyperparameter is drawn
 * anew with probability `mutationProb`), half are crossings of two (each hyperparameter from one or the other). Parents
 * are the `candidateSize` best of all generations so far. A candidate that exceeds a budget is not thrown away: random
 * hyperparameters are narrowed until it fits. One that takes less than `minBudgetUse` of every budget is widened.
 *
 * The defaults are those of `EvolveSearcher` in NVIDIA ModelOpt (`modelopt.torch.nas`): 5000 candidates, generations of
 * 100, 25 parents, mutation 0.1, at least 85 % of the budget. There, parents come from the last generation only, and
 * with several budgets each of them is a lower bound too.
 *
 * Constraints may be any mix of the space's metrics. With a `checkpoint`, an interrupted search goes on and ends as an
 * uninterrupted one; a larger `numIters` goes on from a finished one. The seed decides what is drawn.
 *
 * @throws from `search`: what {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new EvolveSearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   populationSize: 4,
 *   candidateSize: 2,
 *   numIters: 8,
 * });
 * console.log(stateDict.best?.score);
 * ```
 */
export class EvolveSearcher extends IterativeSearcher<EvolveSearchState, EvolveSearchConfig> {
  override get defaultSearchConfig(): EvolveSearchConfig {
    return {
      ...super.defaultSearchConfig,
      populationSize: 100,
      candidateSize: 25,
      mutationProb: 0.1,
      minBudgetUse: 0.85,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...super.searchConfigRules,
      populationSize: rules.positiveInteger,
      candidateSize: rules.positiveInteger,
      mutationProb: rules.share,
      minBudgetUse: rules.share,
    };
  }

  get defaultStateDict(): EvolveSearchState {
    return { ...this.defaultIterativeState, population: [], parents: [] };
  }

  protected propose(): SubnetConfig {
    const { model, limits, random } = this;
    const { populationSize, mutationProb, minBudgetUse } = this.config;
    const { parents, population } = this.state;
    if (parents.length === 0) return sampleWithin(model, limits, minBudgetUse, random);
    const crossing = parents.length > 1 && population.length >= populationSize / 2;
    const child = crossing ? this.#cross() : mutate(model, this.#parent(), mutationProb, random);
    return fitWithin(model, child, limits, minBudgetUse, random);
  }

  /** What is below the worst parent to be can't become one: of parents and generation, the best are kept. */
  protected override get uselessBelow(): number | null {
    const { best, parents, population } = this.state;
    if (best === null) return null;
    const scores = [...new Set([...parents, ...population])]
      .map((row) => this.candidates.at(row).score)
      .filter((score) => !Number.isNaN(score))
      .sort((a, b) => b - a);
    const last = scores[this.config.candidateSize - 1];
    return last === undefined ? null : Math.min(last, best.score);
  }

  protected accept(row: number): void {
    const { state } = this;
    const { populationSize, candidateSize } = this.config;
    state.population.push(row);
    if (state.population.length < populationSize) return;
    const pool = [...new Set([...state.parents, ...state.population])];
    // One that was stopped is below all that are kept, also by the most that its score can be.
    const score = (at: number): number => {
      const { atMost, score } = this.candidates.at(at);
      return atMost ?? score;
    };
    state.parents = pool.sort((a, b) => score(b) - score(a) || a - b).slice(0, candidateSize);
    state.population = [];
  }

  #parent(): SubnetConfig {
    return this.candidates.at(this.random.choice(this.state.parents)).config;
  }

  /** Crosses two different parents. */
  #cross(): SubnetConfig {
    const { parents } = this.state;
    const first = this.random.integer(parents.length);
    const second = (first + 1 + this.random.integer(parents.length - 1)) % parents.length;
    const at = (i: number): SubnetConfig => this.candidates.at(parents[i] as number).config;
    return crossover(at(first), at(second), this.random);
  }
}
