import { type ConfigRule, orNull, rules } from "../searcher/config";
import type { SpaceMetric, SubnetConfig } from "../space/search-space";
import { type MilpSolution, solveMilp } from "./highs";
import { SearchProgram } from "./milp-program";
import { costOf, type PairwiseCosts, pairwiseCosts } from "./pairwise-costs";
import type { Sensitivity } from "./sensitivity";
import {
  type SensitivitySearchConfig,
  SensitivitySearcher,
  type SensitivitySearchState,
} from "./sensitivity-searcher";
import { sameNumbers } from "./space-searcher";

/** The config of {@link MilpSearcher}. */
export interface MilpSearchConfig extends SensitivitySearchConfig {
  /** Accept a solution whose gap to the proven bound is at most this share of it. Default 0: optimal. */
  gap: number;
  /** Seconds for the solver, or null for no limit. What it found by then is used, and its gap told. Default 60. */
  timeLimit: number | null;
}

/** What the solver said. */
export interface MilpReport {
  /** `optimal` within the gap; `limit` when the time ran out. */
  status: "optimal" | "limit";
  /** Sum of the degradations of the subnet found. */
  objective: number;
  /** No subnet within the constraints has a smaller sum: the dual bound. */
  bound: number;
  /** The dual gap, as a share of the objective: 0 when it is proven to be the smallest. */
  gap: number;
  /** Largest error of the costs in the program, on random subnets, as a share of the full model's: 0 when exact. */
  costError: number;
}

/** Where a scored subnet comes from: the solver or the binary search, as found or grown. */
export type MilpStep = "milp" | "milp-grown" | "threshold" | "threshold-grown";

/** What {@link MilpSearcher} keeps. All of it can be said in JSON. */
export interface MilpSearchState extends SensitivitySearchState<MilpStep> {
  /** The solution's certificate; null until there is one. */
  milp: MilpReport | null;
}

/** A gap below this is rounding. */
const ROUNDING = 1e-9;

/** Solutions that break a constraint after all, by rounding or by inexact costs, before the search gives up on better. */
const ROUNDS = 30;

/**
 * Finds the subnet with the smallest sum of sensitivities within the constraints, exactly, by integer programming.
 *
 * 1. *Sensitivity.* As in {@link BinarySearcher}: d(h, c), how far the score falls when h alone is narrowed to c.
 * 2. *Program.* Minimize the sum of d(h, c) x(h, c) over whole x, one choice of each hyperparameter, such that every
 *    budget holds. A layer's cost is a product of widths of neighbouring hyperparameters, and of whether it is there at
 *    all; the space's costs are taken apart into such terms, and these stated exactly (see `SearchProgram`).
 *    HiGHS solves it, on a thread of its own; `stateDict.milp` tells the dual bound and the gap.
 * 3. *Growing.* What the budgets leave over widens hyperparameters, by degradation undone per share of the budgets.
 * 4. The subnets of 2 and 3 are scored, and so are those of the binary search, so that the result is never worse than its;
 *    the best one wins.
 *
 * Where costs depend on three hyperparameters in another way, or on four, `stateDict.milp.costError` is above 0, and the
 * bound is one on the program, not on the space. The constraints hold in
 * any case: each solution is priced by the space itself, and one that breaks a budget is ruled out.
 *
 * The objective adds up what narrowings do alone, as HAWQ-V3 does for bit widths (Yao et al., ICML 2021) and ModelOpt's
 * AutoQuantize too. It sees no interplay between layers; the scores in `history` do.
 *
 * Constraints may be any mix of the space's metrics. The state is saved after each hyperparameter and each candidate; a
 * resumed search skips what is measured, and one with other constraints starts again at step 2. Nothing is random.
 *
 * @throws from `search`: `ERR_SOLVER` when HiGHS fails; what {@link SpaceSearcher.beforeSearch} and
 *   `BaseSearcher.search` throw
 */
export class MilpSearcher extends SensitivitySearcher<MilpStep, MilpSearchState, MilpSearchConfig> {
  override get defaultSearchConfig(): MilpSearchConfig {
    return { ...super.defaultSearchConfig, gap: 0, timeLimit: 60 };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { ...super.searchConfigRules, gap: rules.share, timeLimit: orNull(rules.positive) };
  }

  get defaultStateDict(): MilpSearchState {
    return {
      ...this.emptyState,
      milp: null,
    };
  }

  protected override forgetBounds(): void {
    super.forgetBounds();
    this.state.milp = null;
  }

  async runSearch(): Promise<void> {
    await this.measureSensitivity();
    const threshold = this.bisect().config;
    const thresholdGrown = await this.grow(threshold);
    const milp = await this.#solve(thresholdGrown);
    const milpGrown = await this.grow(milp);
    const steps: [MilpStep, SubnetConfig][] = [
      ["milp", milp],
      ["milp-grown", milpGrown],
      ["threshold", threshold],
      ["threshold-grown", thresholdGrown],
    ];
    const distinct = steps.filter(
      ([, config], at) => !steps.slice(0, at).some(([, earlier]) => sameNumbers(earlier, config)),
    );
    const total = distinct.length;
    for (const [at, [step, config]] of distinct.entries())
      await this.consider(step, config, { done: at + 1, total });
    this.reportSpace(
      { phase: "search", done: total, total, message: "found the subnet" },
      { ...this.state.best, milp: this.state.milp },
    );
  }

  /** The sum of the degradations that a subnet's choices have alone. */
  #harmOf(config: Readonly<SubnetConfig>): number {
    return this.model.hyperparameters.reduce((sum, { name, choices }) => {
      const { degradation } = this.state.sensitivity[name] as Sensitivity;
      return sum + (degradation[choices.indexOf(config[name] as number)] as number);
    }, 0);
  }

  /** The solution, or `start`, a subnet that fits, where nothing better is found. */
  async #solve(start: SubnetConfig): Promise<SubnetConfig> {
    const { state, model, limits } = this;
    const { signal } = this.config;
    if (this.#harmOf(start) === 0) {
      // Nothing is better than no degradation.
      state.milp = this.#certificate(start, true, 0, 0);
      return start;
    }
    const costs = await pairwiseCosts(model, Object.keys(limits) as SpaceMetric[], signal);
    if (costs.error > 0) this.log(`Costs of the program are off by up to ${costs.error.toPrecision(2)}.`);
    // Degradations may be tiny; the solver's tolerances are not.
    const largest = Math.max(...Object.values(state.sensitivity).flatMap(({ degradation }) => degradation));
    const unit = largest > 0 ? largest : 1;
    const harms = model.hyperparameters.map(({ name }) =>
      (state.sensitivity[name] as Sensitivity).degradation.map((harm) => harm / unit),
    );
    const program = new SearchProgram(costs, harms, limits);
    const deadline = this.config.timeLimit === null ? null : performance.now() + 1000 * this.config.timeLimit;
    let bound = Number.NEGATIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round++) {
      const solution = await this.#run(program, start, unit, deadline);
      if (solution.x === null) break;
      bound = Math.max(bound, solution.bound * unit);
      const config = program.read(solution.x);
      if (this.fits(config)) {
        // With inexact costs, or out of time, the solver may miss what the binary search found.
        const better = this.#harmOf(config) <= this.#harmOf(start) ? config : start;
        state.milp = this.#certificate(better, solution.status === "optimal", bound, costs.error);
        return better;
      }
      program.exclude(config);
      if (costs.error > 0) this.#tighten(program, costs, config);
    }
    state.milp = this.#certificate(start, false, bound, costs.error);
    return start;
  }

  #run(
    program: SearchProgram,
    start: SubnetConfig,
    unit: number,
    deadline: number | null,
  ): Promise<MilpSolution> {
    return solveMilp(program.program(), {
      gap: this.config.gap,
      timeLimit: deadline === null ? null : Math.max(0.1, (deadline - performance.now()) / 1000),
      start: program.write(start),
      signal: this.config.signal,
      onProgress: (objective, bound) =>
        this.report({
          phase: "solve",
          done: 0,
          total: null,
          message: "solving the integer program",
          details: { objective: objective * unit, bound: bound * unit },
        }),
    });
  }

  /** Takes off each budget by how much the program was mistaken about a solution. */
  #tighten(program: SearchProgram, costs: PairwiseCosts, config: SubnetConfig): void {
    for (const [metric, limit] of Object.entries(this.limits)) {
      const actual = this.model.cost(config, metric as SpaceMetric);
      if (actual > limit)
        program.tighten(metric, Math.max(0, actual - costOf(costs, config, metric)) / limit);
    }
  }

  #certificate(config: SubnetConfig, optimal: boolean, bound: number, costError: number): MilpReport {
    const objective = this.#harmOf(config);
    const proven = Math.min(objective, Math.max(0, bound));
    const gap = objective === 0 ? 0 : (objective - proven) / objective;
    return {
      status: optimal ? "optimal" : "limit",
      objective,
      bound: proven,
      gap: gap < ROUNDING ? 0 : gap,
      costError,
    };
  }
}
