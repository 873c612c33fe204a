import { rules } from "../../contract/config";
import type { SubnetConfig } from "../../space/types";
import type { ConfigRule } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { solveKnapsack } from "../solver/knapsack";
import { type MilpReport, SOLVER_DEFAULTS, SOLVER_RULES, type SolverConfig } from "../solver/rounds";
import { type Bisection, bisect } from "./binary";
import { grow } from "./grow";
import type { Sensitivity } from "./sensitivity";
import {
  consider,
  measureSensitivity,
  type Narrowings,
  priceNarrowings,
  SENSITIVITY_DEFAULTS,
  SENSITIVITY_KEYS,
  SENSITIVITY_RULES,
  type SensitivitySearchConfig,
  type SensitivitySearchState,
  scoreAhead,
  scoreFullModel,
  sensitivityState,
} from "./sensitivity-sweep";
import { SpaceSearcher } from "./space-searcher";

/** The config of {@link MilpSearcher}. */
export interface MilpSearchConfig extends SensitivitySearchConfig, SolverConfig {
  /** How many of the program's solutions are scored, the best ones first; default 1. Each takes another program. */
  topK: number;
}

/**
 * Where a scored subnet comes from: the solver (`milp-2` being its second best) or the binary search, as found or grown.
 */
export type MilpStep = "milp" | "milp-grown" | `milp-${number}` | "threshold" | "threshold-grown";

/** What {@link MilpSearcher} keeps. All of it can be written as JSON. */
export interface MilpSearchState extends SensitivitySearchState<MilpStep> {
  /** The solution's certificate; null until there is one. */
  milp: MilpReport | null;
}

/**
 * Finds the subnet with the smallest sum of sensitivities within the constraints, exactly, by integer programming.
 *
 * 1. *Sensitivity.* As in `BinarySearcher`: d(h, c), how far the score falls when h alone is narrowed to c.
 * 2. *Program.* Minimize the sum over h and c of d(h, c) x(h, c), where x(h, c) is 0 or 1, with one choice of each
 *    hyperparameter (the sum over c of x(h, c) is 1), such that every constraint holds. A layer's cost is a product of
 *    widths of neighbouring hyperparameters, and of whether the layer is there at all. The space's costs are decomposed
 *    into such terms, and these are stated exactly (`SearchProgram`: Adams and Sherali, 1986). HiGHS solves the program
 *    on a thread of its own; `stateDict.milp` holds the dual bound and the gap.
 * 3. *Growing.* What is left of the bounds widens hyperparameters, by degradation undone per share of the bounds.
 * 4. The subnets of steps 2 and 3 are scored (of step 2 the `topK` best), and so are those of the binary search, so that the result is never worse
 *    than that of the binary search. The best one wins; on a tie, the earlier one.
 *
 * Where costs depend on three hyperparameters in another way, or on four, and with a bound on `memory`, which is the
 * largest of many sums, `stateDict.milp.costError` is above 0. The dual bound is then one on the program, not on the
 * space. The constraints hold in any case: the space itself prices each solution, and one that breaks a bound is
 * excluded.
 *
 * The objective adds up what narrowings do alone, as HAWQ-V3 does for bit widths (Yao et al., "HAWQ-V3: Dyadic Neural
 * Network Quantization", ICML 2021) and ModelOpt's AutoQuantize too. It ignores interactions between layers; the scores
 * in `history` include them.
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
export class MilpSearcher extends SpaceSearcher<MilpSearchState, MilpSearchConfig> {
  #narrowings: Narrowings = {};

  override get defaultSearchConfig(): MilpSearchConfig {
    return { ...super.defaultSearchConfig, ...SENSITIVITY_DEFAULTS, ...SOLVER_DEFAULTS, topK: 1 };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { ...SENSITIVITY_RULES, ...SOLVER_RULES, topK: rules.positiveInteger };
  }

  get defaultStateDict(): MilpSearchState {
    return { ...sensitivityState(), milp: null };
  }

  protected override get lasting(): readonly (keyof MilpSearchState)[] {
    return SENSITIVITY_KEYS;
  }

  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    return { ...super.checkpointSettings, narrowings: this.#narrowings };
  }

  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    await scoreFullModel(this.tools, this.state);
  }

  async runSearch(): Promise<void> {
    const { tools, state, bounds, model: space } = this;
    const { signal } = this.config;
    const fits = (config: SubnetConfig): boolean => this.fits(config);
    this.#narrowings = await priceNarrowings(space);

    // Step 1.
    await measureSensitivity(tools, state, this.config);
    const { sensitivity } = state;

    // The binary search's subnet. The smallest subnet is known to fit.
    const found = bisect(space.hyperparameters, sensitivity, space.largestConfig, fits) as Bisection;
    const threshold = found.config;
    const thresholdGrown = await grow(space, sensitivity, threshold, bounds, signal);

    // Steps 2 and 3.
    const [milp, ...next] = (await this.#solve(thresholdGrown)) as [SubnetConfig, ...SubnetConfig[]];
    const milpGrown = await grow(space, sensitivity, milp, bounds, signal);

    // Step 4.
    const steps: [MilpStep, SubnetConfig][] = [
      ["milp", milp],
      ["milp-grown", milpGrown],
      ...next.map((config, at): [MilpStep, SubnetConfig] => [`milp-${at + 2}`, config]),
      ["threshold", threshold],
      ["threshold-grown", thresholdGrown],
    ];
    const distinct = steps.filter(
      ([, config], at) => !steps.slice(0, at).some(([, earlier]) => sameNumbers(earlier, config)),
    );
    const total = distinct.length;
    await scoreAhead(
      tools,
      state,
      distinct.map(([step, config]) => ({ step, config })),
    );
    for (const [at, [step, config]] of distinct.entries())
      await consider(tools, state, step, config, { done: at + 1, total });
    this.reportSpace(
      { phase: "search", done: total, total, message: "found the subnet" },
      { ...state.best, milp: state.milp },
    );
  }

  /** The program's best solutions; the first is `start`, a subnet that fits, where nothing better is found. */
  async #solve(start: SubnetConfig): Promise<SubnetConfig[]> {
    const { state, model: space, bounds } = this;
    const { gap, timeLimit, topK, signal } = this.config;
    const harms = space.hyperparameters.map(
      ({ name }) => (state.sensitivity[name] as Sensitivity).degradation,
    );
    const { config, report, next } = await this.tools.once(() =>
      solveKnapsack(space, harms, bounds, start, {
        gap,
        timeLimit,
        topK,
        signal,
        onProgress: (event) => this.report(event),
        log: (line) => this.log(line),
      }),
    );
    state.milp = report;
    return [config, ...next];
  }
}
