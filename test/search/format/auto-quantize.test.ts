/** Choosing formats: the optimum, the bounds, and searches that are interrupted. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  AutoQuantizeSearcher,
  type Constraints,
  Module,
  type QuantizationSpace,
  readCheckpoint,
  Tensor,
  topKAccuracy,
} from "../../../lib";
import type { AutoQuantizeConfig, AutoQuantizeState } from "../../../lib/entries/search";
import { formatProgram, readChoices } from "../../../lib/search/format/format-program";
import { solveMilp } from "../../../lib/search/solver/highs";
import { digitsSpace, dummyInput, testData, trainData } from "../../quantization/spaces";
import { expectCode } from "../../support/tensors";
import { root } from "../../support/zoo";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-auto-quantize-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function search(
  space: QuantizationSpace,
  constraints: Constraints,
  config: Partial<AutoQuantizeConfig> = {},
) {
  return new AutoQuantizeSearcher().search(space, constraints, dummyInput(), {
    dataLoader: await trainData(),
    maxIterDataLoader: 2,
    verbose: false,
    ...config,
  });
}

/** Every choice of every group. */
function* everyChoice(sizes: readonly number[]): Generator<number[]> {
  if (sizes.length === 0) {
    yield [];
    return;
  }
  for (const rest of everyChoice(sizes.slice(1))) {
    for (let choice = 0; choice < (sizes[0] as number); choice++) yield [choice, ...rest];
  }
}

const pick = (table: readonly (readonly number[])[], choices: readonly number[]): number =>
  choices.reduce((sum, choice, group) => sum + (table[group]?.[choice] as number), 0);

describe("the integer program", () => {
  it("finds what trying everything finds", { timeout: 120_000 }, async () => {
    const row = fc.array(fc.tuple(fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 1, max: 32 })), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 5, maxLength: 5 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (groups, elements, tightness) => {
          const harms = groups.map((choices) => choices.map(([harm]) => harm / 1000));
          const costs = groups.map((choices, at) =>
            choices.map(([, bits]) => bits * (elements[at] as number)),
          );
          const least = costs.reduce((sum, choices) => sum + Math.min(...choices), 0);
          const most = costs.reduce((sum, choices) => sum + Math.max(...choices), 0);
          const limit = Math.ceil(least + tightness * (most - least));
          const best = [...everyChoice(groups.map(({ length }) => length))]
            .filter((choices) => pick(costs, choices) <= limit)
            .reduce((lowest, choices) => Math.min(lowest, pick(harms, choices)), Number.POSITIVE_INFINITY);
          const solution = await solveMilp(formatProgram(harms, [{ costs, bound: limit }]), {
            gap: 0,
            timeLimit: null,
            start: null,
            signal: null,
            onProgress: null,
          });
          const found = readChoices(harms, solution.x as number[]);
          expect(pick(costs, found)).toBeLessThanOrEqual(limit);
          expect(pick(harms, found)).toBeCloseTo(best, 9);
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("a search", () => {
  it(
    "meets its bounds with the smallest sum, and what comes out classifies",
    { timeout: 120_000 },
    async () => {
      const space = await digitsSpace("digits_resnet", { formats: ["int8", "int4"] });
      const { subnet, stateDict } = await search(space, { effectiveBits: 6, size: "23%" });
      const { config, costs, score } = stateDict.best as NonNullable<AutoQuantizeState["best"]>;
      expect(costs.effectiveBits).toBeLessThanOrEqual(6);
      expect(costs.size).toBeLessThanOrEqual(0.23 * (stateDict.fullCosts?.size as number));
      expect(space.active).toEqual(config);
      const sum = Object.entries(config).reduce(
        (total, [name, format]) => total + (stateDict.sensitivity[name]?.[format] ?? 0),
        0,
      );
      expect(score).toBeCloseTo(-sum, 15);
      expect(stateDict.milp).toMatchObject({ status: "optimal", gap: 0 });
      expect(await topKAccuracy(await testData())(subnet)).toBeGreaterThan(0.98);
      // Swapping two groups' formats, or raising one, never gives less harm within the bounds.
      const harm = (name: string, format: string): number => stateDict.sensitivity[name]?.[format] ?? 0;
      for (const { name, choices } of space.hyperparameters) {
        for (const format of choices) {
          const other = { ...config, [name]: format };
          if (
            space.cost(other, "effectiveBits") > 6 ||
            space.cost(other, "size") > 0.23 * (stateDict.fullCosts?.size as number)
          )
            continue;
          expect(harm(name, format)).toBeGreaterThanOrEqual(harm(name, config[name] as string));
        }
      }
    },
  );

  it("without bounds, leaves everything as it is", async () => {
    const space = await digitsSpace();
    const { stateDict } = await search(space, {});
    expect(stateDict.best?.config).toEqual(space.fullConfig);
  });

  it("rates what it chose by the score it is given", async () => {
    const space = await digitsSpace();
    const scoreFunc = topKAccuracy(await testData());
    const { stateDict } = await search(space, { effectiveBits: 4 }, { scoreFunc });
    expect(stateDict.best?.config).toEqual(space.uniform("int4"));
    expect(stateDict.best?.score).toBeGreaterThan(0.97);
  });
});

describe("interrupted", () => {
  it.each([
    ["gradient", [1, 3, 4]],
    ["klDivergence", [2, 5, 9]],
  ] as const)(
    "by %s at any moment, it ends like an uninterrupted one",
    { timeout: 180_000 },
    async (sensitivity, moments) => {
      const settings = { sensitivity, dataLoader: await trainData(32), maxIterDataLoader: 2 };
      const whole = await search(await digitsSpace(), { effectiveBits: 5 }, settings);
      for (const moment of moments) {
        const checkpoint = path.join(folder, `${sensitivity}-${moment}.st`);
        const controller = new AbortController();
        let events = 0;
        const onProgress = (): void => {
          events += 1;
          if (events === moment) controller.abort();
        };
        const { signal } = controller;
        const interrupted = await digitsSpace();
        await expectCode("ERR_ABORTED", async () =>
          search(interrupted, { effectiveBits: 5 }, { ...settings, checkpoint, signal, onProgress }),
        );
        expect(interrupted.active).toEqual(interrupted.fullConfig);
        const resumed = await search(await digitsSpace(), { effectiveBits: 5 }, { ...settings, checkpoint });
        expect(resumed.stateDict).toEqual(whole.stateDict);
        expect((await readCheckpoint(checkpoint))?.state.best).toEqual(whole.stateDict.best);
      }
    },
  );

  it(
    "with other bounds it measures nothing again; with another measure, everything",
    { timeout: 60_000 },
    async () => {
      const checkpoint = path.join(folder, "bounds.st");
      const phases: string[] = [];
      const onProgress = ({ phase }: { phase: string }): void => {
        phases.push(phase);
      };
      await search(await digitsSpace(), { effectiveBits: 6 }, { checkpoint });
      const { stateDict } = await search(
        await digitsSpace(),
        { effectiveBits: 4.5 },
        { checkpoint, onProgress },
      );
      expect(phases).not.toContain("calibrate");
      expect(phases).not.toContain("sensitivity");
      expect(stateDict.best?.costs.effectiveBits).toBeLessThanOrEqual(4.5);
      await search(
        await digitsSpace(),
        { effectiveBits: 6 },
        { checkpoint, onProgress, sensitivity: "meanSquaredError" },
      );
      expect(phases).toContain("sensitivity");
    },
  );
});

describe("refused", () => {
  it("a bound that no formats reach, with the smallest that one does", async () => {
    const error = await expectCode("ERR_CONSTRAINT_UNREACHABLE", async () =>
      search(await digitsSpace(), { effectiveBits: 3 }),
    );
    expect(error.message).toContain("smallest reachable is 4");
  });

  it("bounds that can't be met together", async () => {
    const formats = {
      // Fewer bits of weights, but so many scales that the file gets larger.
      small: { weight: { bits: 8 } },
      scattered: { weight: { bits: 4, granularity: "block", blockSize: 1 } },
    } as const;
    const space = await digitsSpace("digits_resnet", { formats });
    const size = space.cost(space.smallest("size"), "size");
    const error = await expectCode("ERR_CONSTRAINT_UNREACHABLE", async () =>
      search(space, { effectiveBits: 4.1, size: 1.01 * size }),
    );
    expect(error.message).toContain("together");
  });

  it("no data, other models, unknown settings, data that is not finite", async () => {
    const space = await digitsSpace();
    await expectCode("ERR_NO_CALIBRATION_DATA", () =>
      search(space, { effectiveBits: 6 }, { dataLoader: null }),
    );
    const module = await Module.load(path.join(root, "test", "fixtures", "digits_resnet.pt"));
    await expectCode("ERR_ARGUMENT", async () => search(module as never, { effectiveBits: 6 }));
    await expectCode("ERR_CONFIG_VALUE", () => search(space, {}, { sensitivity: "hessian" as never }));
    await expectCode("ERR_UNKNOWN_CONSTRAINT", () => search(space, { effectiveBit: 6 } as object));
    await expectCode("ERR_EMPTY_LOADER", () => search(space, { effectiveBits: 6 }, { dataLoader: [] }));
    const bad = Tensor.from(new Float32Array(64).fill(Number.NaN), [1, 1, 8, 8]);
    const dataLoader = [[bad, Tensor.from(new BigInt64Array(1), [1])]];
    await expectCode("ERR_CALIBRATION_NAN", () => search(space, { effectiveBits: 6 }, { dataLoader }));
  });

  it("a target out of range, or none", async () => {
    const space = await digitsSpace();
    const image = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const target = Tensor.from(new BigInt64Array([10n]), [1]);
    await expectCode("ERR_SCORE_INPUT", () =>
      search(space, { effectiveBits: 6 }, { dataLoader: [[image, target]] }),
    );
    await expectCode("ERR_BATCH", () => search(space, { effectiveBits: 6 }, { dataLoader: [[image]] }));
  });
});
