/** Choosing formats: the least harm within budgets, as an integer program. */
import type { MilpProgram, MilpRow } from "../solver/highs";

/** A budget: the sum of the chosen costs must not be above the limit. */
export interface FormatBudget {
  /** By group and choice. */
  costs: readonly (readonly number[])[];
  limit: number;
}

/**
 * The program whose variables are, for each group and choice, whether the group takes it: minimize the harm, one choice
 * for each group, all budgets met (the multiple-choice knapsack problem).
 *
 * @param harms what each choice of each group costs, to be minimized in sum
 * @param excluded choices by group that are ruled out as wholes
 */
export function formatProgram(
  harms: readonly (readonly number[])[],
  budgets: readonly FormatBudget[],
  excluded: readonly (readonly number[])[] = [],
): MilpProgram {
  const offsets = offsetsOf(harms);
  const rows: MilpRow[] = harms.map((row, group) => ({
    at: row.map((_, choice) => (offsets[group] as number) + choice),
    values: row.map(() => 1),
    lower: 1,
    upper: 1,
  }));
  for (const { costs, limit } of budgets) {
    // As shares of the limit: what the groups can't go below is taken off both sides, for the sake of precision.
    const least = costs.map((row) => Math.min(...row));
    const rest = limit - least.reduce((sum, value) => sum + value, 0);
    const unit = Math.max(rest, Math.abs(limit) * 1e-12, Number.MIN_VALUE);
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
