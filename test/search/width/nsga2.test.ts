/** NSGA-II's parts, against their definitions and the worked example by hand. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  crowdingDistances,
  dominates,
  nondominatedSort,
  type Point,
  survivors,
} from "../../../lib/search/width/nsga2";

const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })), {
  minLength: 1,
  maxLength: 25,
});

describe("nondominatedSort", () => {
  it("peels fronts off, each dominated by none of what is left", () => {
    fc.assert(
      fc.property(points, (list: Point[]) => {
        let left = list.map((_, i) => i);
        for (const front of nondominatedSort(list)) {
          const expected = left.filter((i) => !left.some((j) => dominates(list[j]!, list[i]!)));
          expect([...front].sort((a, b) => a - b)).toEqual(expected);
          left = left.filter((i) => !front.includes(i));
        }
        expect(left).toEqual([]);
      }),
    );
  });
});

it("crowding is the neighbours' distance by objective, as a share of the range; infinite at the ends", () => {
  // Objectives 1: 0 1 4 10, 2: 9 5 3 0. The second: (4 - 0) / 10 + (9 - 3) / 9, the third: (10 - 1) / 10 + (5 - 0) / 9.
  const front: Point[] = [
    [0, 9],
    [1, 5],
    [4, 3],
    [10, 0],
  ];
  const distances = crowdingDistances(front, [3, 1, 0, 2]);
  expect(distances[0]).toBe(Number.POSITIVE_INFINITY);
  expect(distances[1]).toBeCloseTo(0.4 + 6 / 9, 12);
  expect(distances[2]).toBe(Number.POSITIVE_INFINITY);
  expect(distances[3]).toBeCloseTo(0.9 + 5 / 9, 12);
});

it("survivors fill up front by front, and no one left out dominates one that stays", () => {
  fc.assert(
    fc.property(points, fc.integer({ min: 1, max: 30 }), (list: Point[], count) => {
      const kept = survivors(list, count).map(({ at }) => at);
      expect(new Set(kept).size).toBe(Math.min(count, list.length));
      for (let i = 0; i < list.length; i++) {
        if (kept.includes(i)) continue;
        for (const at of kept) expect(dominates(list[i]!, list[at]!)).toBe(false);
      }
    }),
  );
});
