/** Intervals against published values; plans against hand-made records. */
import { describe, expect, it } from "vitest";

import { dropInterval, pairedInterval, shareInterval } from "../../lib/compress/interval";
import {
  bestOf,
  latencyCorrection,
  nextStep,
  type PlanInput,
  type StepRecord,
} from "../../lib/compress/plan";
import { storedSteps } from "../../lib/compress/stored-steps";

describe("intervals", () => {
  it("of a share are Wilson's: 81 of 263, 15 of 148 (Newcombe 1998, one sample, table I, method 3)", () => {
    const some = shareInterval(81 / 263, 263);
    expect([some.low, some.high].map((value) => value.toFixed(4))).toEqual(["0.2553", "0.3662"]);
    const few = shareInterval(15 / 148, 148);
    expect([few.low, few.high].map((value) => value.toFixed(4))).toEqual(["0.0624", "0.1605"]);
  });

  it("of a difference are Newcombe's: 56 of 70 and 48 of 80 (Newcombe 1998, table II, method 10)", () => {
    const { low, high } = dropInterval(56 / 70, 48 / 80, 70, 80);
    expect([low, high].map((value) => value.toFixed(4))).toEqual(["0.0524", "0.3339"]);
  });

  it("hold no difference for equal shares, also of all samples", () => {
    const { low, high } = dropInterval(1, 1, 500);
    expect(low).toBeLessThan(0);
    expect(high).toBeGreaterThan(0);
  });

  it("of paired batches are the normal ones of their mean", () => {
    // mean 2, standard deviation 1, 3 values
    const { low, high } = pairedInterval([1, 2, 3]) ?? { low: 0, high: 0 };
    expect(low).toBeCloseTo(2 - 1.96 / Math.sqrt(3), 3);
    expect(high).toBeCloseTo(2 + 1.96 / Math.sqrt(3), 3);
    expect(pairedInterval([1])).toBeNull();
  });
});

const input: PlanInput = {
  fullCosts: { flops: 100, latency: 10 },
  smallestCosts: { flops: 4, latency: 1 },
  target: { flops: 25 },
  metric: "flops",
  steps: 2,
};

function record(
  step: number,
  at: number,
  end: StepRecord["end"],
  more: Partial<StepRecord> = {},
): StepRecord {
  const base = {
    step,
    from: 0,
    at,
    end,
    bounds: {},
    costs: { flops: 100 * at },
    reason: null,
    latency: null,
  };
  const rated = {
    file: `${step}.pt`,
    fingerprint: "",
    untrained: 0.9,
    learningRate: 1e-3,
    rating: 0.95,
    drop: 0.01,
    interval: null,
  };
  return { ...base, ...rated, seconds: 1, ...more };
}

describe("a schedule to a target", () => {
  it("narrows by the same share in each step, the last one to the target itself", () => {
    expect(nextStep(input, [])).toEqual({ from: 0, at: 0.5, bounds: { flops: 50 }, last: false });
    expect(nextStep(input, [record(1, 0.5, "good")])).toEqual({
      from: 1,
      at: 1,
      bounds: { flops: 25 },
      last: true,
    });
    expect(nextStep(input, [record(1, 0.5, "good"), record(2, 1, "good")])).toBeNull();
  });

  it("goes back to the last good step, halves the step, and gives up after three", () => {
    const first = record(1, 0.5, "good");
    const second = nextStep(input, [first, record(2, 1, "worse")]);
    expect(second).toMatchObject({ from: 1, at: 0.75, last: false });
    expect(second?.bounds.flops).toBeCloseTo(100 * 0.25 ** 0.75, 9);
    const third = nextStep(input, [first, record(2, 1, "worse"), record(3, 0.75, "failed")]);
    expect(third).toMatchObject({ from: 1, at: 0.625 });
    const given = [first, record(2, 1, "worse"), record(3, 0.75, "worse"), record(4, 0.625, "worse")];
    expect(nextStep(input, given)).toBeNull();
    expect(bestOf(input, given)?.step).toBe(1);
  });

  it("repeats a step whose file was too slow, with the mended latency", () => {
    const slow = record(1, 0.5, "slow", { latency: { predicted: 5, measured: 6, full: 10 } });
    expect(nextStep(input, [slow])).toMatchObject({ from: 0, at: 0.5 });
    expect(latencyCorrection([slow])).toBeCloseTo(1.2, 12);
    expect(latencyCorrection([])).toBe(1);
  });

  it("keeps a bound that the full model meets", () => {
    const wide = { ...input, target: { flops: 25, latency: 12 } };
    expect(nextStep(wide, [])?.bounds).toEqual({ flops: 50, latency: 12 });
  });
});

describe("a bisection over budgets", () => {
  const free: PlanInput = { ...input, target: null, steps: 6 };

  it("begins with the smallest good model, and never tries less than half of it", () => {
    expect(nextStep(free, [])).toMatchObject({ from: 0, at: 0.5 });
    expect(nextStep(free, [record(1, 0.5, "good", { costs: { flops: 48 } })])).toMatchObject({
      from: 1,
      at: 0.24,
    });
  });

  it("tries between the smallest good and the largest bad one, until they are near or it tried enough", () => {
    const good = record(1, 0.5, "good", { costs: { flops: 50 } });
    const next = nextStep(free, [good, record(2, 0.25, "worse")]);
    expect(next).toMatchObject({ from: 1 });
    expect(next?.at).toBeCloseTo(Math.sqrt(0.25 * 0.5), 12);
    expect(nextStep(free, [good, record(2, 0.48, "worse")])).toBeNull();
    expect(nextStep({ ...free, steps: 2 }, [good, record(2, 0.25, "worse")])).toBeNull();
    expect(bestOf(free, [good, record(2, 0.25, "worse")])?.step).toBe(1);
  });
});

describe("steps of a checkpoint", () => {
  const sound = {
    step: 1,
    from: 0,
    at: 0.5,
    bounds: { flops: 5 },
    end: "good",
    reason: null,
    file: "a.pt",
    fingerprint: "f00d",
    costs: { flops: 4 },
    untrained: 0.5,
    learningRate: 1e-3,
    rating: 0.9,
    drop: 0.01,
    interval: { low: 0, high: 0.1 },
    latency: null,
    seconds: 3,
  };

  it("are taken as they are, when they are sound", () => {
    const steps = [sound, { ...sound, step: 2, from: 1, end: "failed", file: null, rating: null }];
    expect(storedSteps(steps)).toEqual(steps);
  });

  it.each(Object.keys(sound))("are refused with a wrong %s", (field) => {
    for (const value of [[], true, { low: "x" }, Number.NaN, undefined])
      expect(() => storedSteps([{ ...sound, [field]: value }])).toThrow(field);
  });

  it.each([[null], [{}], ["x"], [[null]], [[5]], [[[]]], [[{}]]])("%j are refused", (steps) => {
    expect(() => storedSteps(steps)).toThrow(/step/);
  });

  it("are refused out of order, or good without a model", () => {
    expect(() => storedSteps([sound, sound])).toThrow("number");
    expect(() => storedSteps([{ ...sound, from: 1 }])).toThrow("from");
    expect(() => storedSteps([{ ...sound, file: null }])).toThrow("model");
  });
});
