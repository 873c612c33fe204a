import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choicesToMeasure, degradationOf } from "../../../lib/search/width/sensitivity";
import { thresholdsOf } from "../../../lib/search/width/thresholds";

describe("degradationOf", () => {
  it("takes the worst from each choice up, and never rewards narrowing", () => {
    // Ascending choices; the score of the second is a lucky one, the third's is above the full model's.
    expect(degradationOf([0.5, 0.9, 0.75, 1.1, 1], 1, [1, 2, 3, 4, 5])).toEqual([0.5, 0.25, 0.25, 0, 0]);
  });

  it("interpolates what was not measured by the square of what is left out", () => {
    // Harm 0.5 at width 4, 0.25 at 16, 0 at 24: a third and two thirds of the way, and half of it.
    const harm = degradationOf([0.5, null, null, 0.75, null, 1], 1, [4, 8, 12, 16, 20, 24]);
    const expected = [0.5, 0.25 + 0.25 * (4 / 9), 0.25 + 0.25 / 9, 0.25, 0.25 / 4, 0];
    for (const [i, value] of harm.entries()) expect(value).toBeCloseTo(expected[i] as number, 12);
  });

  it("never falls as the width does, whatever the scores, and where no choice is measured but the smallest", () => {
    const measured = fc.record({ score: fc.double({ min: -9, max: 9, noNaN: true }), skip: fc.boolean() });
    fc.assert(
      fc.property(fc.array(measured, { minLength: 1 }), (all) => {
        const kept = all.map(({ score, skip }, i) => (skip && i > 0 && i < all.length - 1 ? null : score));
        const full = kept.at(-1) as number;
        const harm = degradationOf(
          kept,
          full,
          all.map((_, i) => 8 * (i + 1)),
        );
        expect(harm).toHaveLength(all.length);
        expect(harm.at(-1)).toBe(0);
        harm.forEach((value, i) => {
          expect(value).toBeGreaterThanOrEqual(Math.max(0, full - (kept[i] ?? full)));
          expect(value).toBeLessThanOrEqual(harm[i - 1] ?? Number.POSITIVE_INFINITY);
        });
      }),
    );
  });
});

describe("choicesToMeasure", () => {
  it("is all reduced choices, or evenly spread ones with the smallest", () => {
    expect(choicesToMeasure(5, null)).toEqual([3, 2, 1, 0]);
    expect(choicesToMeasure(9, 4)).toEqual([6, 4, 2, 0]);
    expect(choicesToMeasure(9, 1)).toEqual([0]);
    expect(choicesToMeasure(1, null)).toEqual([]);
  });

  it("gives so many distinct ones", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 100 }), fc.integer({ min: 1, max: 100 }), (count, limit) => {
        const chosen = choicesToMeasure(count, limit);
        expect(new Set(chosen).size).toBe(Math.min(limit, count - 1));
        expect(chosen.at(-1)).toBe(0);
        expect(Math.max(...chosen)).toBeLessThan(count - 1);
      }),
    );
  });
});

it("thresholds are distinct and ascend, after one that tolerates nothing", () => {
  const of = (degradation: number[]) => ({ choices: [], scores: [], degradation });
  expect(thresholdsOf({ a: of([0.5, 0.1, 0]), b: of([0.1, 0]) })).toEqual([-1, 0, 0.1, 0.5]);
});
