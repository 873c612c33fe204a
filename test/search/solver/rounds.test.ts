/** Solving, pricing and excluding until a choice fits. Choices are sets of items: the more, the less harm. */
import { describe, expect, it, vi } from "vitest";

import type { MilpOptions, MilpProgram, MilpSolution } from "../../../lib/search/solver/highs";
import { certificate, type RoundsProblem, solveRounds, unitOf } from "../../../lib/search/solver/rounds";
import { expectCode } from "../../support/tensors";

// Tries every solution, where HiGHS would start a thread for each round.
vi.mock("../../../lib/search/solver/highs", async () => {
  const { throwIfAborted } = await import("../../../lib/util/abort");
  return {
    solveMilp: async (
      { costs, rows }: MilpProgram,
      { signal, onProgress }: MilpOptions,
    ): Promise<MilpSolution> => {
      throwIfAborted(signal);
      const of = (x: readonly number[], at: readonly number[], values: readonly number[]): number =>
        at.reduce((sum, variable, i) => sum + (x[variable] as number) * (values[i] as number), 0);
      let best: MilpSolution = {
        status: "infeasible",
        x: null,
        objective: Number.POSITIVE_INFINITY,
        bound: 0,
      };
      for (let bits = 0; bits < 2 ** costs.length; bits++) {
        const x = costs.map((_, i) => (bits >> i) & 1);
        const objective = of(x, [...costs.keys()], costs);
        const feasible = rows.every(({ at, values, lower, upper }) => {
          const value = of(x, at, values);
          return value >= lower && value <= upper;
        });
        if (feasible && objective < best.objective)
          best = { status: "optimal", x, objective, bound: objective };
      }
      onProgress?.(best.objective, best.bound);
      return best;
    },
  };
});

const run = { gap: 0, timeLimit: 60, signal: null, onProgress: () => {} };

/** Leaving out item i costs i + 1; `fits` decides about the set of items. */
function items(
  count: number,
  fits: (chosen: number[]) => boolean,
): RoundsProblem<number[]> & { seen: number[][] } {
  const excluded: number[][] = [];
  const seen: number[][] = [];
  return {
    seen,
    program: () => ({
      // Minimizing what is taken with negative sign is minimizing what is left out.
      costs: Array.from({ length: count }, (_, i) => -(i + 1)),
      integer: Array.from({ length: count }, () => true),
      rows: excluded.map((chosen) => ({
        at: Array.from({ length: count }, (_, i) => i),
        values: Array.from({ length: count }, (_, i) => (chosen.includes(i) ? 1 : -1)),
        lower: Number.NEGATIVE_INFINITY,
        upper: chosen.length - 1,
      })),
    }),
    unit: 2,
    start: null,
    read: (x) => x.flatMap((value, i) => (value > 0.5 ? [i] : [])),
    fits: (chosen) => {
      seen.push(chosen);
      return fits(chosen);
    },
    exclude: (chosen) => excluded.push(chosen),
  };
}

describe("solveRounds", () => {
  it("excludes what does not fit, and ends with the best that does", async () => {
    const problem = items(4, (chosen) => chosen.length <= 2);
    const progress: unknown[] = [];
    const found = await solveRounds(problem, { ...run, onProgress: ({ details }) => progress.push(details) });
    // In units of `unit`, of all items at first.
    expect(progress[0]).toEqual({ objective: -20, bound: -20 });
    expect(found).toMatchObject({ choice: [2, 3], status: "optimal" });
    // The bound is the last round's, the tightest.
    expect(found.bound).toBeCloseTo(-2 * (3 + 4), 6);
    const sums = problem.seen.map((chosen) => chosen.reduce((sum, i) => sum + i + 1, 0));
    expect(sums).toEqual([...sums].sort((a, b) => b - a));
    expect(new Set(problem.seen.map(String)).size).toBe(problem.seen.length);
  });

  it("says when nothing is left, and when it gives up", async () => {
    const none = items(3, () => false);
    expect(await solveRounds(none, run)).toMatchObject({ choice: null, status: "infeasible" });
    expect(none.seen).toHaveLength(8);
    const many = items(8, () => false);
    expect(await solveRounds(many, run)).toMatchObject({ choice: null, status: "rounds" });
    expect(many.seen).toHaveLength(30);
  });

  it("stops when aborted", async () => {
    await expectCode("ERR_ABORTED", () =>
      solveRounds(
        items(3, () => true),
        { ...run, signal: AbortSignal.abort() },
      ),
    );
  });
});

it("a certificate's bound is never above the objective nor below 0, and its gap is a share of the objective", () => {
  expect(certificate(4, "limit", 3, 0.1)).toEqual({
    status: "limit",
    objective: 4,
    bound: 3,
    gap: 0.25,
    costError: 0.1,
  });
  expect(certificate(4, "optimal", 5, 0)).toMatchObject({ bound: 4, gap: 0 });
  expect(certificate(4, "limit", Number.NEGATIVE_INFINITY, 0)).toMatchObject({ bound: 0, gap: 1 });
  expect(certificate(0, "optimal", 0, 0)).toMatchObject({ bound: 0, gap: 0 });
  expect(certificate(1, "optimal", 1 - 1e-12, 0).gap).toBe(0);
});

it("the unit of harms is the largest, or 1", () => {
  expect(unitOf([[0, 1e-9], [3e-9]])).toBe(3e-9);
  expect(unitOf([[0, 0], [0]])).toBe(1);
});
