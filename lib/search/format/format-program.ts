/** Choosing formats: the least harm within bounds, as an integer program. */
import { type Bounds, satisfies } from "../../contract/constraints";
import { TorchSearchError } from "../../errors";
import type { QuantizationMetric } from "../../quantization/costs";
import { UNQUANTIZED } from "../../quantization/formats";
import type { FormatConfig, QuantizationSpace } from "../../quantization/space";
import type { MilpProgram, MilpRow } from "../solver/highs";
import { certificate, type MilpReport, type SolverRun, solveRounds, unitOf } from "../solver/rounds";
import type { FormatSensitivities } from "./format-sensitivity";

/**
 * Finds the formats with the smallest sum of sensitivities within the bounds: minimize the sum over groups g and
 * formats f of s(g, f) x(g, f), where x(g, f) is 0 or 1 and each group takes one format, such that every bound holds
 * (see {@link formatProgram} and {@link solveRounds}). The unquantized format harms nothing.
 *
 * @throws `ERR_CONSTRAINT_UNREACHABLE` when no formats meet all bounds together; `ERR_SOLVER`, `ERR_ABORTED`
 */
export async function solveFormats(
  space: QuantizationSpace,
  sensitivity: FormatSensitivities,
  bounds: Bounds,
  run: SolverRun,
): Promise<{ config: FormatConfig; report: MilpReport }> {
  const groups = space.hyperparameters;
  const harms = groups.map(({ name, choices }) =>
    choices.map((format) => (format === UNQUANTIZED ? 0 : (sensitivity[name]?.[format] as number))),
  );
  const unit = unitOf(harms);
  const scaled = harms.map((row) => row.map((harm) => harm / unit));
  const formatBounds = Object.entries(bounds).map(([name, bound]): FormatBound => {
    const metric = name as QuantizationMetric;
    const costs = groups.map((group) => space.groupCosts(group.name, metric));
    return { costs, bound: bound - space.fixedCost(metric) };
  });
  const configOf = (choices: readonly number[]): FormatConfig =>
    Object.fromEntries(
      groups.map(({ name, choices: formats }, at) => [name, formats[choices[at] as number] as string]),
    );
  const excluded: number[][] = [];
  const found = await solveRounds<number[]>(
    {
      program: () => formatProgram(scaled, formatBounds, excluded),
      unit,
      start: null,
      read: (x) => readChoices(harms, x),
      fits: (choices) => satisfies(space.costs(configOf(choices)), bounds),
      exclude: (choices) => excluded.push(choices),
    },
    run,
  );
  if (found.choice === null) throw unsolved(found.status, bounds);
  const objective = found.choice.reduce((sum, choice, at) => sum + (harms[at]?.[choice] as number), 0);
  const report = certificate(objective, found.status, found.bound, 0);
  return { config: configOf(found.choice), report };
}

function unsolved(status: "infeasible" | "limit" | "rounds", bounds: Bounds): TorchSearchError {
  if (status === "infeasible") {
    return new TorchSearchError(
      "ERR_CONSTRAINT_UNREACHABLE",
      `No formats meet ${Object.keys(bounds).join(" and ")} together, though each can be met alone. Raise a bound, or convert the model with smaller formats.`,
    );
  }
  return new TorchSearchError(
    "ERR_SOLVER",
    status === "limit"
      ? "The integer program was not solved within timeLimit; raise it."
      : "The integer program's solutions break the bounds by rounding; lower the bound a little.",
  );
}

/** A bound: the sum of the chosen costs must not be above it. */
export interface FormatBound {
  /** By group and choice. */
  costs: readonly (readonly number[])[];
  bound: number;
}

/**
 * The program whose variables are, for each group and choice, whether the group takes it: minimize the harm, one choice
 * for each group, all bounds met (the multiple-choice knapsack problem: Sinha and Zoltners, Operations Research 27,
 * 1979).
 *
 * @param harms what each choice of each group costs, to be minimized in sum
 * @param excluded lists of choices, one of each group, that are ruled out as wholes
 */
export function formatProgram(
  harms: readonly (readonly number[])[],
  bounds: readonly FormatBound[],
  excluded: readonly (readonly number[])[] = [],
): MilpProgram {
  const offsets = offsetsOf(harms);
  const rows: MilpRow[] = harms.map((row, group) => ({
    at: row.map((_, choice) => (offsets[group] as number) + choice),
    values: row.map(() => 1),
    lower: 1,
    upper: 1,
  }));
  for (const { costs, bound } of bounds) {
    // As shares of the bound. What the groups can't go below is taken off both sides, for precision.
    const least = costs.map((row) => Math.min(...row));
    const rest = bound - least.reduce((sum, value) => sum + value, 0);
    const unit = Math.max(rest, Math.abs(bound) * 1e-12, Number.MIN_VALUE);
    rows.push({
      at: costs.flatMap((row, group) => row.map((_, choice) => (offsets[group] as number) + choice)),
      values: costs.flatMap((row, group) => row.map((cost) => (cost - (least[group] as number)) / unit)),
      lower: 0,
      upper: Math.max(0, rest / unit) + 1e-9,
    });
  }
  for (const choices of excluded) {
    const at = choices.map((choice, group) => (offsets[group] as number) + choice);
    rows.push({ at, values: at.map(() => 1), lower: 0, upper: at.length - 1 });
  }
  const costs = harms.flat();
  return { costs, integer: costs.map(() => true), rows };
}

/** The choices of a solution. */
export function readChoices(harms: readonly (readonly number[])[], x: readonly number[]): number[] {
  const offsets = offsetsOf(harms);
  return harms.map((row, group) => {
    const values = row.map((_, choice) => x[(offsets[group] as number) + choice] as number);
    return values.indexOf(Math.max(...values));
  });
}

function offsetsOf(rows: readonly (readonly number[])[]): number[] {
  let next = 0;
  return rows.map(({ length }) => {
    const at = next;
    next += length;
    return at;
  });
}
