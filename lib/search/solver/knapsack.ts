/** The subnet with the least harm within the budgets, harm being a sum over hyperparameters: a knapsack with one choice of each. */

import type { SearchSpace } from "../../space/search-space";
import type { SpaceMetric, SubnetConfig } from "../../space/types";
import type { ProgressEvent } from "../../util/progress";
import { type MilpSolution, solveMilp } from "./highs";
import { SearchProgram } from "./milp-program";
import { costOf, type PairwiseCosts, pairwiseCosts } from "./pairwise-costs";

/** What the solver said. */
export interface MilpReport {
  /** `optimal` within the gap; `limit` when the time ran out. */
  status: "optimal" | "limit";
  /** Sum of the harms (degradations) of the subnet found. */
  objective: number;
  /** No subnet within the constraints has a smaller sum: the dual bound. */
  bound: number;
  /** The dual gap, as a share of the objective: 0 when it is proven to be the smallest. */
  gap: number;
  /** Largest error of the costs in the program, on random subnets, as a share of the full model's: 0 when exact. */
  costError: number;
}

/** A gap below this is rounding. */
const ROUNDING = 1e-9;

/** Solutions that break a constraint after all, by rounding or by inexact costs, before the search gives up on better. */
const ROUNDS = 30;

/** How {@link solveKnapsack} goes about it. */
export interface KnapsackOptions {
  /** Accept a solution whose gap to the proven bound is at most this share of it; 0: optimal. */
  gap: number;
  /** Seconds, or null for no limit. */
  timeLimit: number | null;
  signal: AbortSignal | null;
  onProgress(event: ProgressEvent): void;
  log(line: string): void;
}

/**
 * Finds the subnet with the smallest sum of harms within upper bounds on any of the space's metrics, by integer programming
 * (see `SearchProgram`). Each solution is priced by the space itself; one that breaks a budget after all is ruled out.
 *
 * @param harms of each choice of each hyperparameter, in their order; at least 0
 * @param start a subnet that fits, which is the result where nothing better is found
 * @throws `ERR_SOLVER`, `ERR_ABORTED`
 */
export async function solveKnapsack(
  space: SearchSpace,
  harms: readonly (readonly number[])[],
  limits: Readonly<Record<string, number>>,
  start: SubnetConfig,
  options: KnapsackOptions,
): Promise<{ config: SubnetConfig; report: MilpReport }> {
  const harmOf = (config: Readonly<SubnetConfig>): number =>
    space.hyperparameters.reduce((sum, { name, choices }, h) => {
      return sum + ((harms[h] as readonly number[])[choices.indexOf(config[name] as number)] as number);
    }, 0);
  const told = (config: SubnetConfig, optimal: boolean, bound: number, costError: number) => ({
    config,
    report: certificate(harmOf(config), optimal, bound, costError),
  });
  // Nothing is better than no harm.
  if (harmOf(start) === 0) return told(start, true, 0, 0);
  const costs = await pairwiseCosts(space, Object.keys(limits) as SpaceMetric[], options.signal);
  if (costs.error > 0) options.log(`Costs of the program are off by up to ${costs.error.toPrecision(2)}.`);
  // Harms may be tiny; the solver's tolerances are not.
  const largest = Math.max(...harms.flat());
  const unit = largest > 0 ? largest : 1;
  const scaled = harms.map((each) => each.map((harm) => harm / unit));
  const program = new SearchProgram(costs, scaled, limits);
  const deadline = options.timeLimit === null ? null : performance.now() + 1000 * options.timeLimit;
  let bound = Number.NEGATIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const solution = await run(program, start, unit, deadline, options);
    if (solution.x === null) break;
    bound = Math.max(bound, solution.bound * unit);
    const config = program.read(solution.x);
    const fits = Object.entries(limits).every(
      ([metric, limit]) => space.cost(config, metric as SpaceMetric) <= limit,
    );
    if (fits) {
      // With inexact costs, or out of time, the solver may miss what the start has.
      const better = harmOf(config) <= harmOf(start) ? config : start;
      return told(better, solution.status === "optimal", bound, costs.error);
    }
    program.exclude(config);
    if (costs.error > 0) tighten(program, costs, config, space, limits);
  }
  return told(start, false, bound, costs.error);
}

function run(
  program: SearchProgram,
  start: SubnetConfig,
  unit: number,
  deadline: number | null,
  { gap, signal, onProgress }: KnapsackOptions,
): Promise<MilpSolution> {
  return solveMilp(program.program(), {
    gap,
    timeLimit: deadline === null ? null : Math.max(0.1, (deadline - performance.now()) / 1000),
    start: program.write(start),
    signal,
    onProgress: (objective, bound) =>
      onProgress({
        phase: "solve",
        done: 0,
        total: null,
        message: "solving the integer program",
        details: { objective: objective * unit, bound: bound * unit },
      }),
  });
}

/** Takes off each budget by how much the program was mistaken about a solution. */
function tighten(
  program: SearchProgram,
  costs: PairwiseCosts,
  config: SubnetConfig,
  space: SearchSpace,
  limits: Readonly<Record<string, number>>,
): void {
  for (const [metric, limit] of Object.entries(limits)) {
    const actual = space.cost(config, metric as SpaceMetric);
    if (actual > limit) program.tighten(metric, Math.max(0, actual - costOf(costs, config, metric)) / limit);
  }
}

function certificate(objective: number, optimal: boolean, bound: number, costError: number): MilpReport {
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
