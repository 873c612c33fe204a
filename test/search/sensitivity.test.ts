import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { choicesToMeasure, degradationOf, thresholdsOf } from "../../lib/search/sensitivity";

describe("degradationOf", () => {
  it("takes the worst from each choice up, and never rewards narrowing", () => {
    // Ascending choices; the score of the second is a lucky one, the third's is above the full model's.
    expect(degradationOf([0.5, 0.9, 0.75, 1.1, 1], 1)).toEqual([0.5, 0.25, 0.25, 0, 0]);
  });

  it("counts what was not measured as the next smaller choice that was", () => {
    expect(degradationOf([0.5, null, null, 0.75, null, 1], 1)).toEqual([0.5, 0.5, 0.5, 0.25, 0.25, 0]);
  });

  it("never falls as the width does, whatever the scores", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 1 }), (scores) => {
        const full = scores.at(-1) as number;
        const harm = degradationOf(scores, full);
        expect(harm.at(-1)).toBe(0);
        harm.forEach((value, i) => {
          expect(value).toBeGreaterThanOrEqual(Math.max(0, full - (scores[i] as number)));
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
