import { rules } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import type { SpaceMetric, SubnetConfig } from "../../space/types";
import { suggestion } from "../../util/nearest";
import { type ConfigRule, orNull } from "../../util/rules";
import { type CandidateColumns, noCandidates } from "./candidates";
import { type IterativeSearchConfig, IterativeSearcher, type IterativeSearchState } from "./iterative";
import { dominates, type Point, type Survivor, survivors, tournament } from "./nsga2";
import { crossover, mutate, sampleWithin } from "./sampling";

/** Share of its target cost that a subnet of the first generation takes at least. */
const NEAR = 0.9;

/** The config of {@link ParetoSearcher}. */
export interface ParetoSearchConfig extends IterativeSearchConfig {
  /** Costs to minimize, beside the score to maximize; null (the default) for those that are bounded, or else `flops`. */
  objectives: readonly SpaceMetric[] | null;
  /** Subnets of a generation. Default 100. */
  populationSize: number;
  /** Probability that a child has two parents. Default 0.9. */
  crossoverProb: number;
  /** Probability that a child's hyperparameter is drawn anew; null (the default) for one over their number. */
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
 * Finds the whole trade-off between score and costs in one run: all subnets that no other one beats in score and every
 * cost (NSGA-II: Deb et al., IEEE Transactions on Evolutionary Computation 6(2), 2002; generations of 100, crossover 0.9
 * and mutation 1/n are the paper's).
 *
 * The first generation holds the smallest subnet, the full model, one that the constraints just admit, and random ones
 * spread over the range of the first cost. Parents are chosen by binary tournaments on rank and crowding; a child takes
 * each hyperparameter from one of two parents, and mutations draw some anew. The best of parents and children survive.
 *
 * The front spans all costs, whatever the constraints; these say which subnet is `best` and exported. So one run answers
 * for many budgets: search again with the same `checkpoint` and other constraints on the same metrics, and little is
 * measured anew.
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
export class ParetoSearcher extends IterativeSearcher<ParetoSearchState, ParetoSearchConfig> {
  #front: number[] = [];
  /** The parents with their ranks; made of the state when needed. */
  #pool: readonly Survivor[] | null = null;

  override get defaultSearchConfig(): ParetoSearchConfig {
    return {
      ...super.defaultSearchConfig,
      objectives: null,
      populationSize: 100,
      crossoverProb: 0.9,
      mutationProb: null,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...super.searchConfigRules,
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
    return {
      ...this.defaultIterativeState,
      objectives: [],
      front: noCandidates(),
      parents: [],
      children: [],
    };
  }

  /** The front and its generations serve any constraints; only the best subnet depends on them. */
  protected override forgetBounds(): void {
    this.state.best = null;
  }

  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    const { state } = this;
    const objectives = this.#chosenObjectives();
    if (objectives.join() !== state.objectives.join()) {
      this.restart();
      state.objectives = objectives;
    }
    this.#pool = null;
    this.#front = [];
    for (let row = 0; row < this.candidates.length; row++) {
      this.#enterFront(row);
      this.rank(row);
    }
  }

  protected propose(): SubnetConfig {
    const { model, random, config } = this;
    if (this.state.parents.length === 0) return this.#beginner();
    this.#pool ??= this.#survivors(this.state.parents);
    const parent = (): SubnetConfig => {
      const { at } = tournament(this.#pool as readonly Survivor[], random);
      return this.candidates.at(this.state.parents[at] as number).config;
    };
    const first = parent();
    const child = random.chance(config.crossoverProb) ? crossover(first, parent(), random) : first;
    return mutate(model, child, config.mutationProb ?? 1 / model.hyperparameters.length, random);
  }

  protected accept(row: number): void {
    const { state } = this;
    this.#enterFront(row);
    state.children.push(row);
    if (state.children.length < this.config.populationSize) return;
    const rows = [...new Set([...state.parents, ...state.children])];
    state.parents = this.#survivors(rows).map(({ at }) => rows[at] as number);
    state.children = [];
    this.#pool = null;
  }

  protected override fillState(): void {
    super.fillState();
    const first = this.state.objectives[0] as SpaceMetric;
    const cost = (row: number): number => this.candidates.at(row).costs[first] as number;
    this.state.front = this.candidates.columns([...this.#front].sort((a, b) => cost(a) - cost(b) || a - b));
  }

  /** A member of the first generation. */
  #beginner(): SubnetConfig {
    const { model, random, limits, state } = this;
    const at = state.children.length;
    if (at === 0) return model.smallestConfig;
    if (at === 1) return model.fullConfig;
    if (at === 2 && Object.keys(limits).length > 0) return sampleWithin(model, limits, NEAR, random);
    const metric = state.objectives[0] as SpaceMetric;
    const least = model.cost(model.smallestConfig, metric);
    const most = model.cost(model.fullConfig, metric);
    return sampleWithin(model, { [metric]: least + random.float() * (most - least) }, NEAR, random);
  }

  #survivors(rows: readonly number[]): Survivor[] {
    return survivors(
      rows.map((row) => this.#point(row)),
      this.config.populationSize,
    );
  }

  #point(row: number): Point {
    const { score, costs } = this.candidates.at(row);
    return [-score, ...this.state.objectives.map((metric) => costs[metric] as number)];
  }

  #enterFront(row: number): void {
    const point = this.#point(row);
    const same = (other: Point): boolean => other.every((value, i) => value === point[i]);
    const beaten = this.#front.some((other) => {
      const rival = this.#point(other);
      return dominates(rival, point) || same(rival);
    });
    if (beaten) return;
    this.#front = this.#front.filter((other) => !dominates(point, this.#point(other)));
    this.#front.push(row);
  }

  #chosenObjectives(): SpaceMetric[] {
    const bounded = Object.keys(this.limits) as SpaceMetric[];
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
