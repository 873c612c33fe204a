import { rules } from "../../contract/config";
import type { Candidates } from "../../space/candidates";
import { crossover, fitWithin, mutate, sampleWithin } from "../../space/sampling";
import { ITERATIVE_KEYS, type IterativeSearchState, iterativeState, Trials } from "../../space/trials";
import type { SubnetConfig } from "../../space/types";
import type { ConfigRule } from "../../util/rules";
import { SpaceSearcher } from "./space-searcher";
import { ITERATIVE_DEFAULTS, ITERATIVE_RULES, type IterativeSearchConfig, iterate } from "./trials";

/** The config of {@link EvolveSearcher}. */
export interface EvolveSearchConfig extends IterativeSearchConfig {
  /** Candidates of a generation. */
  populationSize: number;
  /** How many of the best become parents of the next generation. */
  candidateSize: number;
  /** Probability that a mutation draws a hyperparameter anew. */
  mutationProb: number;
  /** Share of at least one bound that every candidate must take, 0 to 1. */
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
 * Sampling", ECCV 2020, algorithm 1): ModelOpt's AutoNAS.
 *
 * 1. *First generation.* P = `populationSize` random subnets that meet the constraints.
 * 2. *Top k.* Parents are the k = `candidateSize` best of all generations so far.
 * 3. *Next generation.* P/2 mutations of a random parent (each hyperparameter is drawn anew with probability
 *    `mutationProb`), then P/2 crossings of two different ones (each hyperparameter from one or the other).
 * 4. *Constraints.* A candidate that exceeds a bound is not thrown away, as in the paper: random hyperparameters are
 *    narrowed until it fits. One that takes less than `minBudgetUse` of every bound is widened. Back to step 2.
 *
 * The defaults are those of `EvolveSearcher` in NVIDIA ModelOpt (`modelopt.torch.nas`): 5000 candidates, generations of
 * 100, 25 parents, mutation 0.1, at least 85 % of the bound. There, parents come from the last generation only, and
 * with several constraints each of them is a lower bound too.
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
export class EvolveSearcher extends SpaceSearcher<EvolveSearchState, EvolveSearchConfig> {
  override get defaultSearchConfig(): EvolveSearchConfig {
    return {
      ...super.defaultSearchConfig,
      ...ITERATIVE_DEFAULTS,
      populationSize: 100,
      candidateSize: 25,
      mutationProb: 0.1,
      minBudgetUse: 0.85,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...ITERATIVE_RULES,
      populationSize: rules.positiveInteger,
      candidateSize: rules.positiveInteger,
      mutationProb: rules.share,
      minBudgetUse: rules.share,
    };
  }

  get defaultStateDict(): EvolveSearchState {
    return { ...iterativeState(), population: [], parents: [] };
  }

  protected override get lasting(): readonly (keyof EvolveSearchState)[] {
    return ITERATIVE_KEYS;
  }

  async runSearch(): Promise<void> {
    const { tools, state, config } = this;
    const trials = new Trials(tools, state);
    const { candidates } = trials;
    const sampler = {
      propose: (ahead: number) => this.#propose(candidates, ahead),
      ahead: () => config.populationSize - state.population.length,
      accept: (row: number) => this.#accept(row, candidates),
      uselessBelow: () => this.#uselessBelow(candidates),
    };
    await iterate(tools, trials, sampler, config);
  }

  /** Steps 1, 3 and 4. */
  #propose(candidates: Candidates, ahead: number): SubnetConfig {
    const { model: space, bounds, random, state } = this;
    const { populationSize, mutationProb, minBudgetUse } = this.config;
    const { parents, population } = state;
    if (parents.length === 0) return sampleWithin(space, bounds, minBudgetUse, random);
    const parent = (at: number): SubnetConfig => candidates.at(parents[at] as number).config;
    let child: SubnetConfig;
    if (parents.length === 1 || population.length + ahead < populationSize / 2) {
      child = mutate(space, parent(random.integer(parents.length)), mutationProb, random);
    } else {
      const first = random.integer(parents.length);
      const second = (first + 1 + random.integer(parents.length - 1)) % parents.length;
      child = crossover(parent(first), parent(second), random);
    }
    return fitWithin(space, child, bounds, minBudgetUse, random);
  }

  /** Step 2, at the end of a generation. */
  #accept(row: number, candidates: Candidates): void {
    const { state } = this;
    const { populationSize, candidateSize } = this.config;
    state.population.push(row);
    if (state.population.length < populationSize) return;
    const pool = [...new Set([...state.parents, ...state.population])];
    // A candidate that was stopped is below all that are kept, even by its upper bound.
    const score = (at: number): number => candidates.at(at).atMost ?? candidates.at(at).score;
    state.parents = pool.sort((a, b) => score(b) - score(a) || a - b).slice(0, candidateSize);
    state.population = [];
  }

  /** A candidate below the worst parent of the next generation, as far as it is known, can't become one. */
  #uselessBelow(candidates: Candidates): number | null {
    const { best, parents, population } = this.state;
    if (best === null) return null;
    const scores = [...new Set([...parents, ...population])]
      .map((row) => candidates.at(row).score)
      .filter((score) => !Number.isNaN(score))
      .sort((a, b) => b - a);
    const last = scores[this.config.candidateSize - 1];
    return last === undefined ? null : Math.min(last, best.score);
  }
}
