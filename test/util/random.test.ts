import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Random, type RandomState } from "../../lib/util/random";

describe("Random", () => {
  it("is xoshiro128**: from state 1, 2, 3, 4 come the numbers of the authors' C program", () => {
    const random = Random.fromState([1, 2, 3, 4]);
    const drawn = Array.from({ length: 10 }, () => random.uint32());
    // Outputs of xoshiro128starstar.c 1.1, as Rust's rand_xoshiro tests against them too.
    expect(drawn).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it("goes on from a saved state as if never interrupted, also through JSON", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.nat(50), (seed, skipped) => {
        const random = new Random(seed);
        for (let i = 0; i < skipped; i++) random.float();
        const saved = JSON.parse(JSON.stringify(random.state)) as RandomState;
        const straight = Array.from({ length: 20 }, () => random.float());
        const resumed = Random.fromState(saved);
        expect(Array.from({ length: 20 }, () => resumed.float())).toEqual(straight);
      }),
    );
  });

  it("draws uniformly: bounds hold and a chi-squared test of ten bins passes", () => {
    const random = new Random(1);
    const bins = new Array<number>(10).fill(0);
    const n = 100_000;
    for (let i = 0; i < n; i++) bins[random.integer(10)]! += 1;
    const chi2 = bins.reduce((sum, count) => sum + (count - n / 10) ** 2 / (n / 10), 0);
    expect(chi2).toBeLessThan(27.88); // 99.9 % quantile of chi-squared with 9 degrees of freedom

    let sum = 0;
    let squares = 0;
    for (let i = 0; i < n; i++) {
      const x = random.normal();
      sum += x;
      squares += x * x;
    }
    expect(Math.abs(sum / n)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(squares / n - 1)).toBeLessThan((4 * Math.sqrt(2)) / Math.sqrt(n));
  });

  it("gives neighbouring seeds unrelated sequences", () => {
    const first = new Set(Array.from({ length: 1000 }, (_, seed) => new Random(seed).uint32()));
    expect(first.size).toBe(1000);
    expect(new Random(2 ** 32).uint32()).not.toBe(new Random(0).uint32());
  });

  it("permutes: every number once", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 200 }), (seed, length) => {
        const permutation = new Random(seed).permutation(length);
        expect([...permutation].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      }),
    );
  });

  it("refuses a seed that is no whole number and a state that is none", () => {
    expect(() => new Random(0.5)).toThrow(expect.objectContaining({ code: "ERR_SEED" }));
    expect(() => Random.fromState([0, 0, 0, 0])).toThrow(expect.objectContaining({ code: "ERR_SEED" }));
    expect(() => new Random().integer(0)).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    expect(() => new Random().choice([])).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
  });
});
