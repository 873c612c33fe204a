import { rules } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import { type CandidateColumns, noCandidates } from "../../space/candidates";
import { crossover, mutate, sampleWithin } from "../../space/sampling";
import {
  ITERATIVE_KEYS,
  type IterativeSearchState,
  iterativeState,
  type Sampler,
  Trials,
} from "../../space/trials";
import type { SpaceMetric, SubnetConfig } from "../../space/types";
import { suggestion } from "../../util/nearest";
import { type ConfigRule, orNull } from "../../util/rules";
import { Population } from "./population";
import { SpaceSearcher } from "./space-searcher";
import { ITERATIVE_DEFAULTS, ITERATIVE_RULES, type IterativeSearchConfig, iterate } from "./trials";

/** Share of its target cost that a subnet of the first generation takes at least. */
const NEAR = 0.9;

/** The config of {@link ParetoSearcher}. */
export interface ParetoSearchConfig extends IterativeSearchConfig {
  /** Costs to minimize, beside the score to maximize; null takes the bounded ones, or `flops` where none is bounded. */
  objectives: readonly SpaceMetric[] | null;
  /** Subnets of a generation. */
  populationSize: number;
  /** Probability that a child has two parents. */
  crossoverProb: number;
  /** Probability that a child's hyperparameter is drawn anew; null takes one over their number. */
  mutationProb: number | null;
}

/** What {@link ParetoSearcher} keeps. */
export interface ParetoSearchState extends IterativeSearchState {
  /** The costs that are minimized. */
  objectives: SpaceMetric[];
  /** Subnets that no measured one beats in score and all costs, by rising cost; `subnetsOf` reads it. */
  front: CandidateColumns;
  /** Parents of the present generation, as rows of `candidates`; none in the first one. */
  parents: number[];
  /** Children so far, as rows of `candidates`. */
  children: number[];
}

/**
 * NSGA-II: finds the whole trade-off between score and costs in one run, all subnets that no other one beats in score
 * and every cost (Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on
 * Evolutionary Computation 6(2), 2002). Generations of 100, crossover 0.9 and mutation 1/n are the paper's settings.
 * `nsga2.ts` has the paper's procedures.
 *
 * 1. *First generation.* The smallest subnet, the full model, one that the constraints just admit, and random ones
 *    spread over the range of the first cost.
 * 2. *Children.* Binary tournaments on rank and crowding distance choose parents (the crowded comparison, section
 *    III-B). A child takes each hyperparameter from one of two parents, and mutations draw some anew.
 * 3. *Survivors.* The best of parents and children by nondominated sorting and crowding distance become the next
 *    parents (section III-C). Back to step 2.
 *
 * The front spans all costs, whatever the constraints; these decide which subnet is `best` and exported. So one run
 * answers for many bounds: search again with the same `checkpoint` and other constraints on the same metrics, and
 * little is measured anew.
 *
 * Constraints may be any mix of the space's metrics. With a `checkpoint`, an interrupted search goes on and ends as an
 * uninterrupted one; a larger `numIters` goes on from a finished one. The seed decides what is drawn.
 *
 * @throws from `search`: `ERR_UNKNOWN_METRIC` for an objective that the space can't price; what
 *   {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new ParetoSearcher().search(space, {}, dummyInput, {
 *   scoreFunc,
 *   objectives: ["flops"],
 *   populationSize: 4,
 *   numIters: 8,
 * });
 * console.log(stateDict.front);
 * ```
 */
export class ParetoSearcher extends SpaceSearcher<ParetoSearchState, ParetoSearchConfig> {
  override get defaultSearchConfig(): ParetoSearchConfig {
    return {
      ...super.defaultSearchConfig,
      ...ITERATIVE_DEFAULTS,
      objectives: null,
      populationSize: 100,
      crossoverProb: 0.9,
      mutationProb: null,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...ITERATIVE_RULES,
      objectives: orNull({
        expected: "a list of metrics",
        accepts: (value) => Array.isArray(value) && value.length > 0,
      }),
      populationSize: rules.positiveInteger,
      crossoverProb: rules.share,
      mutationProb: orNull(rules.share),
    };
  }

  get defaultStateDict(): ParetoSearchState {
    return { ...iterativeState(), objectives: [], front: noCandidates(), parents: [], children: [] };
  }

  protected override get lasting(): readonly (keyof ParetoSearchState)[] {
    return ITERATIVE_KEYS;
  }

  /** The front and its generations serve any constraints; only the best subnet depends on them. */
  protected override forgetBounds(): void {
    this.state.best = null;
  }

  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    const objectives = this.#chosenObjectives();
    if (objectives.join() === this.state.objectives.join()) return;
    this.restart();
    this.state.objectives = objectives;
  }

  async runSearch(): Promise<void> {
    const { tools, state, config } = this;
    const trials = new Trials(tools, state);
    const population = new Population(trials.candidates, state, config.populationSize);
    for (let row = 0; row < trials.candidates.length; row++) {
      population.enterFront(row);
      trials.rank(row);
    }
    const sampler: Sampler = {
      propose: (ahead) => (state.parents.length === 0 ? this.#beginner(ahead) : this.#child(population)),
      ahead: () => config.populationSize - state.children.length,
      accept: (row) => population.add(row),
      fillState: () => {
        state.front = trials.candidates.columns(population.front());
      },
    };
    await iterate(tools, trials, sampler, config);
  }

  /** Step 1. */
  #beginner(ahead: number): SubnetConfig {
    const { model: space, random, bounds, state } = this;
    const at = state.children.length + ahead;
    if (at === 0) return space.smallestConfig;
    if (at === 1) return space.largestConfig;
    if (at === 2 && Object.keys(bounds).length > 0) return sampleWithin(space, bounds, NEAR, random);
    const metric = state.objectives[0] as SpaceMetric;
    const least = space.cost(space.smallestConfig, metric);
    const most = space.cost(space.fullConfig, metric);
    return sampleWithin(space, { [metric]: least + random.float() * (most - least) }, NEAR, random);
  }

  /** Step 2. */
  #child(population: Population): SubnetConfig {
    const { model: space, random } = this;
    const { crossoverProb, mutationProb } = this.config;
    const first = population.parent(random);
    const child = random.chance(crossoverProb) ? crossover(first, population.parent(random), random) : first;
    return mutate(space, child, mutationProb ?? 1 / Math.max(1, space.hyperparameters.length), random);
  }

  #chosenObjectives(): SpaceMetric[] {
    const bounded = Object.keys(this.bounds) as SpaceMetric[];
    const chosen = [...(this.config.objectives ?? (bounded.length > 0 ? bounded : ["flops" as const]))];
    for (const metric of chosen) {
      if (this.model.metrics.includes(metric)) continue;
      throw new TorchSearchError(
        "ERR_UNKNOWN_METRIC",
        `unknown metric ${JSON.stringify(metric)} in objectives: ${suggestion(String(metric), this.model.metrics)}`,
      );
    }
    return [...new Set(chosen)];
  }
}
