import { rules } from "../../contract/config";
import type { SubnetConfig } from "../../space/types";
import { type ConfigRule, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { type MilpReport, solveKnapsack } from "../solver/knapsack";
import type { Sensitivity } from "./sensitivity";
import {
  type SensitivitySearchConfig,
  SensitivitySearcher,
  type SensitivitySearchState,
} from "./sensitivity-searcher";

/** The config of {@link MilpSearcher}. */
export interface MilpSearchConfig extends SensitivitySearchConfig {
  /** Accept a solution whose gap to the proven bound is at most this share of it. Default 0: optimal. */
  gap: number;
  /** Seconds for the solver, or null for no limit. What it found by then is used, and its gap told. Default 60. */
  timeLimit: number | null;
}

/** Where a scored subnet comes from: the solver or the binary search, as found or grown. */
export type MilpStep = "milp" | "milp-grown" | "threshold" | "threshold-grown";

/** What {@link MilpSearcher} keeps. All of it can be said in JSON. */
export interface MilpSearchState extends SensitivitySearchState<MilpStep> {
  /** The solution's certificate; null until there is one. */
  milp: MilpReport | null;
}

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
 * Where costs depend on three hyperparameters in another way, or on four, and with a bound on `memory`, which is the largest of many
 * sums, `stateDict.milp.costError` is above 0, and the
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
 *
 * @example
 * ```ts
 * const { stateDict } = await new MilpSearcher().search(space, { flops: "60%", params: "70%" }, dummyInput, {
 *   scoreFunc,
 *   maxChoices: 1,
 * });
 * console.log(stateDict.milp?.gap, stateDict.best?.config);
 * ```
 */
export class MilpSearcher extends SensitivitySearcher<MilpStep, MilpSearchState, MilpSearchConfig> {
  /** Defaults of the config. */
  override get defaultSearchConfig(): MilpSearchConfig {
    return { ...super.defaultSearchConfig, gap: 0, timeLimit: 60 };
  }

  /** What each key of the config accepts. */
  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { ...super.searchConfigRules, gap: rules.share, timeLimit: orNull(rules.positive) };
  }

  get defaultStateDict(): MilpSearchState {
    return {
      ...this.emptyState,
      milp: null,
    };
  }

  /** Forgets what was found within bounds that have changed; what was measured stays. */
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

  /** The solution, or `start`, a subnet that fits, where nothing better is found. */
  async #solve(start: SubnetConfig): Promise<SubnetConfig> {
    const { state, model, limits } = this;
    const { gap, timeLimit, signal } = this.config;
    const harms = model.hyperparameters.map(
      ({ name }) => (state.sensitivity[name] as Sensitivity).degradation,
    );
    const { config, report } = await solveKnapsack(model, harms, limits, start, {
      gap,
      timeLimit,
      signal,
      onProgress: (event) => this.report(event),
      log: (line) => this.log(line),
    });
    state.milp = report;
    return config;
  }
}
