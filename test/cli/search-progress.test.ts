/** The live line: what it tells, and how it makes do with narrow terminals. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { formatView, ProgressTracker, type ProgressView } from "../../lib/search/width/progress";

const VIEW: ProgressView = {
  phase: "candidates",
  done: 20,
  total: 60,
  best: -0.115432,
  budgets: { flops: 0.853, params: 0.9841 },
  rate: 12.34,
  left: 3.2,
};
const BAR = "█████░░░░░";

describe("the live line", () => {
  it("tells all there is where there is room", () => {
    expect(formatView(VIEW, 120, BAR)).toBe(
      "candidates █████░░░░░ 20/60 · best -0.1154 · of budget: flops 85.3 %, params 98.4 % · 12/s · 0:03 left",
    );
  });

  it.each([
    [99, "candidates 20/60 · best -0.1154 · of budget: flops 85.3 %, params 98.4 % · 12/s · 0:03 left"],
    [85, "candidates 20/60 · best -0.1154 · of budget: flops 85.3 %, params 98.4 % · 0:03 left"],
    [70, "candidates 20/60 · best -0.1154 · 0:03 left"],
    [40, "candidates 20/60 · 0:03 left"],
    [9, "candidate"],
  ])("leaves out what matters least at %i columns", (width, line) => {
    expect(formatView(VIEW, width, BAR)).toBe(line);
  });

  it("is never wider than it may be", () => {
    const maybe = (value: fc.Arbitrary<number>) => fc.option(value, { nil: null });
    const view = fc.record({
      phase: fc.string({ minLength: 1, maxLength: 30 }),
      done: fc.nat(),
      total: maybe(fc.nat()),
      best: maybe(fc.float({ noNaN: true, noDefaultInfinity: true })),
      budgets: fc.dictionary(fc.string({ maxLength: 10 }), fc.float({ min: 0, max: 2, noNaN: true })),
      rate: maybe(fc.float({ min: 0, max: 1e6, noNaN: true })),
      left: maybe(fc.float({ min: 0, max: 1e6, noNaN: true })),
    });
    fc.assert(
      fc.property(view, fc.integer({ min: 1, max: 200 }), (each, width) => {
        expect(formatView(each, width, BAR).length).toBeLessThanOrEqual(width);
      }),
    );
  });

  it("reckons rate and time left by phase, passes over batches, and shows phases it does not know", () => {
    const tracker = new ProgressTracker();
    const event = (phase: string, done: number, details = {}) => ({
      phase,
      done,
      total: 100,
      message: "",
      details,
    });
    expect(tracker.view(event("score", 1), 0)).toBeNull();
    expect(tracker.view(event("search", 10), 1000)).toMatchObject({
      phase: "candidates",
      rate: null,
      left: null,
    });
    const bounds = { flops: 200 };
    const details = { best: -1, bestCosts: { flops: 150, params: 7 }, bounds };
    expect(tracker.view(event("search", 30, details), 3000)).toEqual({
      phase: "candidates",
      done: 30,
      total: 100,
      best: -1,
      budgets: { flops: 0.75 },
      rate: 10,
      left: 7,
    });
    expect(tracker.view(event("epochs", 1), 4000)).toMatchObject({ phase: "epochs", rate: null });
  });
});
