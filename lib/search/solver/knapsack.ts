/** The subnet with the least harm within bounds, harm being a sum over hyperparameters. */

import { type Bounds, satisfies } from "../../contract/constraints";
import type { SearchSpace } from "../../space/search-space";
import type { SpaceMetric, SubnetConfig } from "../../space/types";
import { SearchProgram } from "./milp-program";
import { costOf, pairwiseCosts } from "./pairwise-costs";
import {
  certificate,
  type MilpReport,
  type RoundsProblem,
  type SolverRun,
  solveRounds,
  unitOf,
} from "./rounds";

/** How {@link solveKnapsack} solves, and where it logs. */
export interface KnapsackRun extends SolverRun {
  log(line: string): void;
  /** How many solutions to find, the best ones in order; default 1. */
  topK?: number;
}

/**
 * Finds the subnet with the smallest sum of harms within upper bounds on any of the space's metrics: a knapsack with
 * one choice of each hyperparameter, solved by integer programming (see `SearchProgram` and {@link solveRounds}). The
 * space itself prices each solution. Where the program's costs are inexact and a solution breaks a bound, that bound is
 * tightened in the program by the error on that solution.
 *
 * @param harms of each choice of each hyperparameter, in their order; at least 0
 * @param start a subnet that fits, which is the result where nothing better is found
 * @returns also the next best ones, as many as `topK` asks for and there are: each time, the ones before are excluded
 * @throws `ERR_SOLVER`, `ERR_ABORTED`
 */
export async function solveKnapsack(
  space: SearchSpace,
  harms: readonly (readonly number[])[],
  bounds: Bounds,
  start: SubnetConfig,
  run: KnapsackRun,
): Promise<{ config: SubnetConfig; report: MilpReport; next: SubnetConfig[] }> {
  const harmOf = (config: Readonly<SubnetConfig>): number =>
    space.hyperparameters.reduce((sum, { name, choices }, h) => {
      return sum + ((harms[h] as readonly number[])[choices.indexOf(config[name] as number)] as number);
    }, 0);
  // Nothing is better than no harm.
  const { topK = 1 } = run;
  if (harmOf(start) === 0 && topK === 1)
    return { config: start, report: certificate(0, "optimal", 0, 0), next: [] };
  const costs = await pairwiseCosts(space, Object.keys(bounds) as SpaceMetric[], run.signal);
  if (costs.error > 0) run.log(`Costs of the program are off by up to ${costs.error.toPrecision(2)}.`);
  const unit = unitOf(harms);
  const scaled = harms.map((row) => row.map((harm) => harm / unit));
  const program = new SearchProgram(costs, scaled, bounds);
  const problem: RoundsProblem<SubnetConfig> = {
    program: () => program.program(),
    unit,
    start: program.write(start),
    read: (x) => program.read(x),
    fits: (config) => satisfies(space.costs(config), bounds),
    exclude: (config) => {
      program.exclude(config);
      if (costs.error === 0) return;
      for (const [metric, bound] of Object.entries(bounds)) {
        const actual = space.cost(config, metric as SpaceMetric);
        if (actual <= bound) continue;
        program.tighten(metric, Math.max(0, actual - costOf(costs, config, metric)) / bound);
      }
    },
  };
  const found = await solveRounds<SubnetConfig>(problem, run);
  // With inexact costs, or out of time, the solver may miss the start, or a subnet as good.
  const config = found.choice !== null && harmOf(found.choice) <= harmOf(start) ? found.choice : start;
  const status = found.status === "optimal" ? "optimal" : "limit";
  const report = certificate(harmOf(config), status, found.bound, costs.error);
  const next: SubnetConfig[] = [];
  for (let last = config; next.length < topK - 1; last = next.at(-1) as SubnetConfig) {
    program.exclude(last);
    const { choice } = await solveRounds<SubnetConfig>({ ...problem, start: null }, run);
    if (choice === null) break;
    next.push(choice);
  }
  return { config, report, next };
}
