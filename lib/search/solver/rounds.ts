/** "Solve, price, exclude": integer programs whose solutions are checked against what they stand for. */
import { rules } from "../../contract/config";
import type { ProgressEvent } from "../../util/progress";
import { type ConfigRule, orNull } from "../../util/rules";
import { type MilpProgram, solveMilp } from "./highs";

/** The config keys of searchers that solve an integer program. */
export interface SolverConfig {
  /** Accept a solution whose gap to the proven bound is at most this share of it; 0 asks for the optimum. */
  gap: number;
  /** Seconds for the solver, or null for no limit. The best solution found by then is used, and its gap reported. */
  timeLimit: number | null;
}

/** The defaults of {@link SolverConfig}. */
export const SOLVER_DEFAULTS: Readonly<SolverConfig> = { gap: 0, timeLimit: 60 };

/** What each key of {@link SolverConfig} accepts. */
export const SOLVER_RULES: Readonly<Record<keyof SolverConfig, ConfigRule>> = {
  gap: rules.share,
  timeLimit: orNull(rules.positive),
};

/** What the solver proved about a solution. */
export interface MilpReport {
  /** `optimal` within the gap; `limit` when the time ran out. */
  status: "optimal" | "limit";
  /** Sum of the harms (degradations) of the solution. */
  objective: number;
  /** No choice within the constraints has a smaller sum: the dual bound. */
  bound: number;
  /** The dual gap, as a share of the objective: 0 when the sum is proven to be the smallest. */
  gap: number;
  /** Largest error of the costs in the program, on random subnets, as a share of the full model's: 0 when exact. */
  costError: number;
}

/** How a program is solved, and who hears of it. */
export interface SolverRun extends SolverConfig {
  signal: AbortSignal | null;
  onProgress(event: ProgressEvent): void;
}

/** What {@link solveRounds} needs to know of a problem; `Choice` is what a solution stands for. */
export interface RoundsProblem<Choice> {
  /** The program as it stands, without the choices that were excluded. Its objective is in units of `unit`. */
  program(): MilpProgram;
  /** What 1 in the program's objective stands for. */
  unit: number;
  /** A solution to start from, or null. */
  start: number[] | null;
  /** The choice of a solution. */
  read(x: readonly number[]): Choice;
  /** Whether the choice meets the constraints, priced exactly. */
  fits(choice: Choice): boolean;
  /** Rules a choice out, for the rounds to come. */
  exclude(choice: Choice): void;
}

/**
 * What {@link solveRounds} found: a choice that fits, or why there is none. No choice that fits harms less than
 * `bound`.
 */
export type RoundsOutcome<Choice> =
  | { choice: Choice; status: "optimal" | "limit"; bound: number }
  | { choice: null; status: "infeasible" | "limit" | "rounds"; bound: number };

/** Solutions that break a constraint after all, by rounding or by inexact costs, before the search gives up. */
const ROUNDS = 30;

/** A gap below this is rounding. */
const ROUNDING = 1e-9;

/** The least time that a round gets, in seconds. */
const LEAST_TIME = 0.1;

/**
 * Solves a program, prices its solution exactly, and excludes one that breaks a constraint, until one fits. The dual
 * bounds of all rounds hold for the choices that fit, since only choices that do not fit were excluded.
 *
 * @throws `ERR_SOLVER`, `ERR_ABORTED`
 */
export async function solveRounds<Choice>(
  problem: RoundsProblem<Choice>,
  { gap, timeLimit, signal, onProgress }: SolverRun,
): Promise<RoundsOutcome<Choice>> {
  const { unit, start } = problem;
  const deadline = timeLimit === null ? null : performance.now() + 1000 * timeLimit;
  let bound = Number.NEGATIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const solution = await solveMilp(problem.program(), {
      gap,
      timeLimit: deadline === null ? null : Math.max(LEAST_TIME, (deadline - performance.now()) / 1000),
      start,
      signal,
      onProgress: (objective, proven) =>
        onProgress({
          phase: "solve",
          done: 0,
          total: null,
          message: "solving the integer program",
          details: { objective: objective * unit, bound: proven * unit },
        }),
    });
    const { x, status } = solution;
    if (x === null) return { choice: null, status: status === "infeasible" ? "infeasible" : "limit", bound };
    bound = Math.max(bound, solution.bound * unit);
    const choice = problem.read(x);
    if (problem.fits(choice)) return { choice, status: status === "optimal" ? "optimal" : "limit", bound };
    problem.exclude(choice);
  }
  return { choice: null, status: "rounds", bound };
}

/** What harms are divided by in a program: they may be tiny, and the solver's tolerances are not. */
export function unitOf(harms: readonly (readonly number[])[]): number {
  const largest = Math.max(...harms.flat());
  return largest > 0 ? largest : 1;
}

/** The certificate of a choice with this sum of harms. */
export function certificate(
  objective: number,
  status: MilpReport["status"],
  bound: number,
  costError: number,
): MilpReport {
  const proven = Math.min(objective, Math.max(0, bound));
  const gap = objective === 0 ? 0 : (objective - proven) / objective;
  return { status, objective, bound: proven, gap: gap < ROUNDING ? 0 : gap, costError };
}
