import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  KNOWN_METRICS,
  parseConstraints,
  requireReachable,
  resolveConstraints,
  satisfies,
} from "../../lib/contract/constraints";
import type { Constraints, Percentage } from "../../lib/contract/types";

const full = { params: 1000, macs: 50_000, flops: 100_000, size: 4000, latency: 2.5, memory: 9000 };

function refusal(code: string, ...words: string[]): unknown {
  const pattern = new RegExp(
    words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*"),
    "s",
  );
  return expect.objectContaining({ code, message: expect.stringMatching(pattern) });
}

describe("constraints", () => {
  it("reads numbers, percentages, null and nested records", () => {
    expect(resolveConstraints({ flops: "60%", params: 500, latency: null }, full)).toEqual({
      flops: 60_000,
      params: 500,
    });
    expect(resolveConstraints({ flops: " 12.5 % " as Percentage }, full)).toEqual({ flops: 12_500 });
    expect(
      resolveConstraints({ latency: { p50: "50%", p95: 3 } }, { "latency.p50": 2, "latency.p95": 4 }),
    ).toEqual({ "latency.p50": 1, "latency.p95": 3 });
    expect(resolveConstraints({}, full)).toEqual({});
  });

  it.each([
    ["6O%", "flops", 'did you mean "60%"'],
    ["l5%", "flops", 'did you mean "15%"'],
    ["60", "flops", 'did you mean "60%"'],
    ["62,5%", "flops", 'did you mean "62.5%"'],
    ["60 percent", "flops", 'did you mean "60%"'],
    ["abc", "flops", "flops"],
    ["", "flops", "flops"],
    ["0%", "flops", "above 0%"],
    ["-5%", "flops", "flops"],
    ["101%", "flops", "up to 100%"],
    ["NaN%", "flops", "flops"],
    ["1e2%", "flops", "flops"],
  ])("refuses %j", (value, name, words) => {
    expect(() => parseConstraints({ [name]: value as Percentage })).toThrow(
      refusal("ERR_CONSTRAINT_VALUE", words) as Error,
    );
  });

  it.each([Number.NaN, -1, 0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    "refuses the number %d",
    (value) => {
      expect(() => parseConstraints({ flops: value })).toThrow(
        refusal("ERR_CONSTRAINT_VALUE", "flops") as Error,
      );
    },
  );

  it("takes a fraction of a counted metric for a mistyped percentage, but not of latency", () => {
    expect(() => parseConstraints({ flops: 0.6 })).toThrow(
      refusal("ERR_CONSTRAINT_VALUE", 'did you mean "60%"') as Error,
    );
    expect(parseConstraints({ latency: 0.6 })).toEqual({
      upper: { latency: { kind: "absolute", value: 0.6 } },
      lower: {},
    });
  });

  it("refuses other types and unknown names, and names the nearest", () => {
    const bad = (value: unknown) => () => parseConstraints({ flops: value } as Constraints);
    expect(bad(true)).toThrow(refusal("ERR_CONSTRAINT_VALUE", "true") as Error);
    expect(bad([1])).toThrow(refusal("ERR_CONSTRAINT_VALUE", "array") as Error);
    expect(() => parseConstraints([] as unknown as Constraints)).toThrow(
      refusal("ERR_CONSTRAINT_VALUE") as Error,
    );
    expect(() => parseConstraints(null as unknown as Constraints)).toThrow(
      refusal("ERR_CONSTRAINT_VALUE") as Error,
    );
    expect(() => parseConstraints({ flop: 5 })).toThrow(
      refusal("ERR_UNKNOWN_CONSTRAINT", '"flop"', '"flops"') as Error,
    );
    expect(() => parseConstraints({ lattency: 5 })).toThrow(
      refusal("ERR_UNKNOWN_CONSTRAINT", '"latency"') as Error,
    );
    expect(() => parseConstraints({ energy: 5 }, { known: ["energy"] })).not.toThrow();
    expect(() => resolveConstraints({ memory: 5 }, { flops: 1 })).toThrow(
      refusal("ERR_UNKNOWN_CONSTRAINT", "memory") as Error,
    );
  });

  it("prints the smallest reachable value of a bound that is too low, so that it can be used", () => {
    const smallest = { flops: 12_345, params: 100 };
    const bounds = resolveConstraints({ flops: "5%", params: 200 }, full);
    let message = "";
    try {
      requireReachable(bounds, smallest, full);
    } catch (error) {
      expect(error).toEqual(refusal("ERR_CONSTRAINT_UNREACHABLE", "12345"));
      message = (error as Error).message;
    }
    const printed = /smallest reachable is 12345 \(([\d.]+%)\)/.exec(message)?.[1];
    expect(() =>
      requireReachable(resolveConstraints({ flops: printed as Percentage }, full), smallest, full),
    ).not.toThrow();
  });

  it("holds: a percentage bounds exactly that share, and a cost is satisfied exactly up to it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KNOWN_METRICS),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.double({ min: 1, max: 1e12, noNaN: true }),
        (metric, percentage, cost) => {
          const text = `${percentage.toFixed(4)}%` as Percentage;
          fc.pre(Number.parseFloat(text) > 0);
          const bounds = resolveConstraints({ [metric]: text }, { [metric]: cost });
          expect(bounds[metric]! / cost).toBeCloseTo(Number.parseFloat(text) / 100, 10);
          expect(satisfies({ [metric]: bounds[metric]! }, bounds)).toBe(true);
          expect(satisfies({ [metric]: bounds[metric]! * 1.001 }, bounds)).toBe(false);
          expect(satisfies({ [metric]: Number.NaN }, bounds)).toBe(false);
          expect(satisfies({}, bounds)).toBe(false);
        },
      ),
    );
  });

  it("never accepts a text it does not understand", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/^\s*(\d+\.?\d*|\.\d+)\s*%\s*$/.test(text));
        expect(() => parseConstraints({ flops: text as Percentage })).toThrow(
          refusal("ERR_CONSTRAINT_VALUE") as Error,
        );
      }),
    );
  });
});
