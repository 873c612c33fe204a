/** Grids and rounding, against PyTorch's observers, operators and 8-bit floats. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { Tensor } from "../../lib";
import { fakeQuantize, type NumberFormat } from "../../lib/entries/quantization";
import { expectCode, numbersOf } from "../support/tensors";
import { oracle } from "./oracle";

const input = () => Tensor.from(new Float32Array(oracle.input), oracle.shape);

function formatOf({ type, bits, symmetric, ...rest }: (typeof oracle.cases)[number]["spec"]): NumberFormat {
  const { granularity, blockSize, calibration, percentile } = rest;
  return {
    type,
    granularity,
    calibration,
    ...(type === "int" && { bits, symmetric }),
    ...(blockSize && { blockSize }),
    ...(percentile && { percentile }),
  };
}

describe("PyTorch gives the same", () => {
  it.each(oracle.cases.map((item) => [JSON.stringify(item.spec), item] as const))(
    "%s",
    async (_, expected) => {
      const { spec } = expected;
      const found = await fakeQuantize(input(), formatOf(spec), { axis: spec.axis });
      // numpy takes quantiles in another precision.
      const exact = spec.calibration !== "percentile";
      const scale = numbersOf(found.scale) as number[];
      expect(scale.length).toBe(expected.scale.length);
      for (const [at, value] of expected.scale.entries()) {
        if (exact) expect(scale[at]).toBe(value);
        else expect(Math.abs((scale[at] as number) / value - 1)).toBeLessThan(1e-5);
      }
      if (expected.zeroPoint === null) expect(found.zeroPoint).toBeNull();
      else expect(numbersOf(found.zeroPoint as Tensor)).toEqual(expected.zeroPoint);
      expect(found.values.shape).toEqual(oracle.shape);
      const values = numbersOf(found.values) as number[];
      for (const [at, value] of expected.values.entries()) {
        if (exact) expect(values[at]).toBe(value);
        else
          expect(Math.abs((values[at] as number) - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
      }
    },
  );
});

const floats = fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 40 });

describe("properties", () => {
  it(
    "what is on the grid stays there, and no value moves by more than half a step",
    { timeout: 60_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          floats,
          fc.integer({ min: 2, max: 8 }),
          fc.boolean(),
          async (list, bits, symmetric) => {
            const values = new Float32Array(list);
            const format: NumberFormat = { bits, symmetric, granularity: "tensor" };
            const found = await fakeQuantize(Tensor.from(values, [values.length]), format);
            const scale = numbersOf(found.scale)[0] as number;
            const zeroPoint = numbersOf(found.zeroPoint as Tensor)[0] as number;
            const low = symmetric ? -(2 ** (bits - 1)) : 0;
            const high = low + 2 ** bits - 1;
            const largest = Math.max(...values.map(Math.abs));
            numbersOf(found.values).forEach((value, at) => {
              const moved = Math.abs((value as number) - (values[at] as number));
              // A zero point is a whole number, too, which may push an end of the range out by half a step.
              const allowed = (symmetric ? 0.5 : 1) * scale;
              expect(moved).toBeLessThanOrEqual(allowed * (1 + 1e-5) + 1e-6 * largest);
              const q = (value as number) / scale + zeroPoint;
              expect(Math.abs(q - Math.round(q))).toBeLessThan(1e-3);
              expect(Math.round(q)).toBeGreaterThanOrEqual(low);
              expect(Math.round(q)).toBeLessThanOrEqual(high);
            });
          },
        ),
        { numRuns: 60 },
      );
    },
  );

  it("8-bit floats are idempotent and keep the sign, within a sixteenth", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(floats, async (list) => {
        const values = new Float32Array(list);
        const format: NumberFormat = { type: "e4m3", granularity: "tensor" };
        const once = await fakeQuantize(Tensor.from(values, [values.length]), format);
        const twice = await fakeQuantize(once.values, format);
        const scale = numbersOf(once.scale)[0] as number;
        const first = numbersOf(once.values) as number[];
        numbersOf(twice.values).forEach((value, at) => {
          expect(Math.abs((value as number) - (first[at] as number))).toBeLessThanOrEqual(
            1e-6 * Math.abs(first[at] as number),
          );
          const original = values[at] as number;
          // 3 mantissa bits: at most 2^-4 of the value, or half the smallest number, 2^-10 of the scale.
          const allowed = Math.max(Math.abs(original) / 16, scale * 2 ** -10) * (1 + 1e-5);
          expect(Math.abs((first[at] as number) - original)).toBeLessThanOrEqual(allowed);
        });
      }),
      { numRuns: 40 },
    );
  });

  it("more bits never do worse", async () => {
    let before = Number.POSITIVE_INFINITY;
    for (const bits of [2, 3, 4, 6, 8, 12]) {
      const { values } = await fakeQuantize(input(), { bits, calibration: "meanSquaredError" });
      const error = numbersOf(values).reduce<number>(
        (sum, value, at) => sum + ((value as number) - (oracle.input[at] as number)) ** 2,
        0,
      );
      expect(error).toBeLessThan(before);
      before = error;
    }
  });
});

describe("refused", () => {
  it("infinite and missing values", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const tensor = Tensor.from(new Float32Array([1, bad]), [2]);
      await expectCode("ERR_CALIBRATION_NAN", () => fakeQuantize(tensor, {}));
    }
  });

  it.each([
    [{ bits: 1 }, "ERR_CONFIG_VALUE"],
    [{ bits: 4.5 }, "ERR_CONFIG_VALUE"],
    [{ type: "e4m3", bits: 4 }, "ERR_CONFIG_VALUE"],
    [{ type: "e4m3", symmetric: true }, "ERR_UNKNOWN_CONFIG_KEY"],
    [{ type: "e4m3", granularity: "block" }, "ERR_CONFIG_VALUE"],
    [{ blockSize: 4 }, "ERR_CONFIG_VALUE"],
    [{ percentile: 99 }, "ERR_CONFIG_VALUE"],
    [{ calibration: "percentile", percentile: 20 }, "ERR_CONFIG_VALUE"],
    [{ calibration: "entropy" }, "ERR_CONFIG_VALUE"],
    [{ bit: 4 }, "ERR_UNKNOWN_CONFIG_KEY"],
  ])("%j", async (format, code) => {
    await expectCode(code, () => fakeQuantize(input(), format as NumberFormat));
  });

  it("whole numbers and dimensions that are not there", async () => {
    await expectCode("ERR_DTYPE", () => fakeQuantize(Tensor.from(new Int32Array([1]), [1]), {}));
    await expectCode("ERR_ARGUMENT", () => fakeQuantize(input(), {}, { axis: 4 }));
  });
});
