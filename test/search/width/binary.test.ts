/** BinarySearcher's own logic, on a space whose costs and scores are known exactly. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  type ProgressEvent,
  type ScoreFunction,
  type SearchSpace,
} from "../../../lib";
import { FakeModel } from "../../contract/doubles";
import { CHOICES, fakeSpace, macsOf, paramsOf } from "../../support/fake-space";
import { expectCode } from "../../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-binary-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const quiet = { verbose: false };
const full = { stem: 16, "body.conv1": 32, "body.conv2": 16 };

/** A score that loses, for each layer, a fixed sum per channel left out. */
function lossPerChannel(stem: number, conv1: number, conv2: number): ScoreFunction {
  return (model) => {
    const { active } = model as SearchSpace;
    return (
      100 -
      stem * (16 - (active.stem as number)) -
      conv1 * (32 - (active["body.conv1"] as number)) -
      conv2 * (16 - (active["body.conv2"] as number))
    );
  };
}

async function search(constraints: Constraints, scoreFunc: ScoreFunction, config: object = {}) {
  const { space, native } = fakeSpace();
  const result = await new BinarySearcher().search(space, constraints, null, {
    ...quiet,
    scoreFunc,
    ...config,
  });
  return { ...result, space, native };
}

describe("BinarySearcher", () => {
  it("measures what narrowing each hyperparameter alone does", async () => {
    const { stateDict } = await search({ flops: "60%" }, lossPerChannel(1, 0.5, 2));
    expect(stateDict.fullScore).toBe(100);
    expect(stateDict.sensitivity).toEqual({
      stem: { choices: [4, 8, 12, 16], scores: [88, 92, 96, 100], degradation: [12, 8, 4, 0] },
      "body.conv1": { choices: [8, 16, 24, 32], scores: [88, 92, 96, 100], degradation: [12, 8, 4, 0] },
      "body.conv2": { choices: [8, 16], scores: [84, 100], degradation: [16, 0] },
    });
    expect(stateDict.fullCosts).toEqual({
      macs: macsOf([16, 32, 16]),
      flops: 2 * macsOf([16, 32, 16]),
      params: paramsOf([16, 32, 16]),
      size: 4 * paramsOf([16, 32, 16]),
    });
  });

  it("finds the smallest threshold at which the bound holds, and then grows as far as the bound lets", async () => {
    // Full: 1600 + 25600 + 5120 + 160 = 32480 macs; the bound of 60 % is 19488.
    // Threshold 4: 12, 24, 16 -> 1200 + 14400 + 3840 + 160 = 19600, too many. Threshold 8: 8, 16, 16 -> 9920, fits.
    // Growing: stem 8 -> 12 undoes 4 for 400 + 3200 macs, conv1 16 -> 24 undoes 4 for 3200 + 1280: stem first (13520).
    // Then stem -> 16 (4 for 3600; 17120) before conv1 -> 24 (4 for 4800 + 1280). Then conv1 -> 24 is 24800: too many.
    const { stateDict } = await search({ macs: "60%" }, lossPerChannel(1, 0.5, 2));
    expect(stateDict.threshold).toBe(8);
    expect(stateDict.history).toMatchObject([
      { step: "threshold", config: { stem: 8, "body.conv1": 16, "body.conv2": 16 }, score: 84 },
      { step: "grown", config: { stem: 16, "body.conv1": 16, "body.conv2": 16 }, score: 92 },
    ]);
    expect(stateDict.best).toEqual({
      config: { stem: 16, "body.conv1": 16, "body.conv2": 16 },
      score: 92,
      costs: { macs: 17120, flops: 34240, params: paramsOf([16, 16, 16]), size: 4 * paramsOf([16, 16, 16]) },
    });
  });

  it("keeps the cheaper of two candidates with the same score", async () => {
    const { stateDict } = await search({ macs: "60%" }, () => 1);
    expect(stateDict.threshold).toBe(0);
    expect(stateDict.history.length).toBe(2);
    expect(stateDict.best?.config).toEqual({ stem: 4, "body.conv1": 8, "body.conv2": 8 });
  });

  it("gives the full model when that meets the constraints", async () => {
    const loose: Constraints[] = [{}, { flops: null }, { flops: "100%", params: 1e9 }];
    for (const constraints of loose) {
      const { stateDict, native } = await search(constraints, () => 1, { dataLoader: [[1]] });
      expect(stateDict.best?.config).toEqual(full);
      expect(stateDict.threshold).toBe(-1);
      // The full model keeps the statistics it came with.
      expect(native.log.at(-1)).toBe("export 16 32 16 after 0 batches");
    }
  });

  it("meets any mix of constraints that can be met, whatever the scores, and nothing more fits", async () => {
    const bound = fc.option(
      fc.integer({ min: 1, max: 100 }).map((percent) => `${percent}%` as const),
      { nil: null },
    );
    const mix = fc.record({ params: bound, macs: bound, flops: bound, size: bound });
    const costs = fakeSpace().space.costs(full);
    await fc.assert(
      fc.asyncProperty(mix, fc.integer(), async (constraints, salt) => {
        const noise: ScoreFunction = (model) => {
          const text = `${salt} ${Object.values((model as SearchSpace).active)}`;
          return (
            [...text].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7) / 2 ** 31
          );
        };
        const least = fakeSpace().space.costs(fakeSpace().space.smallestConfig);
        const reachable = Object.entries(constraints).every(
          ([metric, percent]) =>
            percent === null ||
            least[metric as "macs"] <= (Number.parseInt(percent, 10) / 100) * costs[metric as "macs"],
        );
        if (!reachable) {
          await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => search(constraints, noise));
          return;
        }
        const { stateDict, space } = await search(constraints, noise);
        for (const step of stateDict.history) {
          for (const [metric, percent] of Object.entries(constraints)) {
            if (percent === null) continue;
            const limit = (Number.parseInt(percent, 10) / 100) * costs[metric as "macs"];
            expect(space.cost(step.config, metric as "macs")).toBeLessThanOrEqual(limit);
          }
        }
        const last = stateDict.history.at(-1)!.config;
        for (const { name, choices } of CHOICES) {
          const next = choices[choices.indexOf(last[name] as number) + 1];
          if (next === undefined) continue;
          const grown = space.costs({ ...last, [name]: next });
          const fits = Object.entries(constraints).every(
            ([metric, percent]) =>
              percent === null ||
              grown[metric as "macs"] <= (Number.parseInt(percent, 10) / 100) * costs[metric as "macs"],
          );
          expect(fits).toBe(false);
        }
        expect(space.active).toEqual(stateDict.best?.config);
      }),
      { numRuns: 200 },
    );
  });

  it("recalibrates every narrowed candidate before it is scored, and the subnet that comes out", async () => {
    const seen: [string, number][] = [];
    const { space, native } = fakeSpace();
    const score = lossPerChannel(1, 0.5, 2);
    const scoreFunc: ScoreFunction = (model) => {
      seen.push([native.widths.join(" "), native.calibrated]);
      expect(native.recalibrating).toBe(false);
      return score(model);
    };
    const dataLoader = [[1], [2], [3], [4]];
    const config = { ...quiet, scoreFunc, dataLoader, maxIterDataLoader: 3 };
    await new BinarySearcher().search(space, { macs: "60%" }, null, config);
    expect(seen[0]).toEqual(["16 32 16", 0]);
    expect(seen.slice(1).every(([, batches]) => batches === 3)).toBe(true);
    // The full model as it came, then recalibrated: what the others are compared with.
    expect(seen[1]).toEqual(["16 32 16", 3]);
    expect(seen.length).toBe(2 + 3 + 3 + 1 + 2);
    expect(native.log.at(-1)).toBe("export 16 16 16 after 3 batches");
  });

  it("measures degradations against the recalibrated full model, as recalibration alone may raise the score", async () => {
    const score = lossPerChannel(1, 0.5, 2);
    const { space, native } = fakeSpace();
    const scoreFunc: ScoreFunction = async (model) => (await score(model)) + (native.calibrated > 0 ? 10 : 0);
    const config = { ...quiet, scoreFunc, dataLoader: [[1]] };
    const { stateDict } = await new BinarySearcher().search(space, { macs: "60%" }, null, config);
    expect(stateDict.fullScore).toBe(100);
    expect(stateDict.referenceScore).toBe(110);
    expect(stateDict.sensitivity.stem).toEqual({
      choices: [4, 8, 12, 16],
      scores: [98, 102, 106, 110],
      degradation: [12, 8, 4, 0],
    });
  });

  it("takes a forward loop in place of a loader", async () => {
    const { native } = await search({ macs: "60%" }, lossPerChannel(1, 0.5, 2), {
      forwardLoop: async (model: SearchSpace) => {
        await model.forward(1);
        await model.forward(2);
      },
    });
    expect(native.log.at(-1)).toBe("export 16 16 16 after 2 batches");
  });

  it("measures only so many choices when told to", async () => {
    const { stateDict } = await search({ macs: "60%" }, lossPerChannel(1, 0.5, 2), { maxChoices: 1 });
    expect(stateDict.sensitivity.stem).toEqual({
      choices: [4, 8, 12, 16],
      scores: [88, null, null, 100],
      degradation: [12, 12 * (2 / 3) ** 2, 12 * (1 / 3) ** 2, 0],
    });
    await expectCode("ERR_CONFIG_VALUE", () => search({}, () => 1, { maxChoices: 0 }));
  });

  it("tells how far it is", async () => {
    const events: ProgressEvent[] = [];
    await search({ macs: "60%" }, () => 1, { onProgress: (event: ProgressEvent) => events.push(event) });
    const measured = events.filter(({ phase }) => phase === "sensitivity");
    expect(measured.map(({ done, total }) => [done, total])).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((n) => [n, 7]),
    );
  });
});

describe("a resumed search", () => {
  const score = lossPerChannel(1, 0.5, 2);

  it("goes on after any number of scores, and ends as if never interrupted", async () => {
    const straight = await search({ macs: "60%" }, score);
    const total = 1 + 7 + 2;
    for (let broken = 0; broken < total; broken++) {
      const checkpoint = path.join(folder, `broken-${broken}.safetensors`);
      let calls = 0;
      const failing: ScoreFunction = (model) => {
        if (calls === broken) throw new Error("power cut");
        calls += 1;
        return score(model);
      };
      await expectCode("ERR_SCORE_FAILED", () => search({ macs: "60%" }, failing, { checkpoint }));
      let again = 0;
      const counting: ScoreFunction = (model) => {
        again += 1;
        return score(model);
      };
      const resumed = await search({ macs: "60%" }, counting, { checkpoint });
      expect(resumed.stateDict).toEqual(straight.stateDict);
      // Only the hyperparameter that was being measured is measured again.
      expect(calls + again - total).toBeLessThanOrEqual(2);
      expect(resumed.native.log.at(-1)).toBe(straight.native.log.at(-1));
    }
  });

  it("measures nothing anew for other constraints", async () => {
    const checkpoint = path.join(folder, "other.safetensors");
    await search({ macs: "60%" }, score, { checkpoint });
    let calls = 0;
    const counting: ScoreFunction = (model) => {
      calls += 1;
      return score(model);
    };
    const other = await search({ params: "50%" }, counting, { checkpoint });
    expect(other.stateDict).toEqual((await search({ params: "50%" }, score)).stateDict);
    expect(calls).toBe(other.stateDict.history.length);
  });

  it("refuses the checkpoint of another space", async () => {
    const checkpoint = path.join(folder, "mine.safetensors");
    await search({ macs: "60%" }, score, { checkpoint });
    const { space } = fakeSpace("another");
    const config = { ...quiet, scoreFunc: score, checkpoint };
    await expectCode("ERR_CHECKPOINT_MODEL", () => new BinarySearcher().search(space, {}, null, config));
  });
});

describe("bad input", () => {
  it("is refused before anything is scored, with the selection as it was", async () => {
    const { space } = fakeSpace();
    const chosen = { stem: 8, "body.conv1": 16, "body.conv2": 8 };
    space.select(chosen);
    let scored = 0;
    const scoreFunc: ScoreFunction = () => {
      scored += 1;
      return 1;
    };
    const attempt = (constraints: Constraints, config: object = {}) =>
      new BinarySearcher().search(space, constraints, null, { ...quiet, scoreFunc, ...config });
    const error = await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => attempt({ macs: "5%" }));
    expect(error.message).toContain(String(macsOf([4, 8, 8])));
    await expectCode("ERR_UNKNOWN_CONSTRAINT", () => attempt({ memory: "50%" }));
    await expectCode("ERR_UNKNOWN_CONSTRAINT", () => attempt({ flop: "50%" } as object));
    await expectCode("ERR_CONSTRAINT_VALUE", () => attempt({ flops: "6O%" as "60%" }));
    await expectCode("ERR_NO_SCORE", () => attempt({ flops: "60%" }, { scoreFunc: null }));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () => attempt({}, { maxChoice: 3 }));
    expect(scored).toBe(0);
    expect(space.active).toEqual(chosen);
  });

  it("a model that was not converted", async () => {
    const searcher = new BinarySearcher();
    const error = await expectCode("ERR_ARGUMENT", () =>
      searcher.search(new FakeModel() as never, {}, null, { ...quiet, scoreFunc: () => 1 }),
    );
    expect(error.message).toContain("convert(");
  });

  it("a score of NaN, an empty loader, an abort: the selection comes back", async () => {
    const { space, native } = fakeSpace();
    const chosen = { stem: 8, "body.conv1": 16, "body.conv2": 8 };
    const attempt = (config: object) =>
      new BinarySearcher().search(space, { flops: "60%" }, null, { ...quiet, scoreFunc: () => 1, ...config });
    const abort = new AbortController();
    let scores = 0;
    const aborting = () => {
      scores += 1;
      if (scores === 4) abort.abort();
      return 1;
    };
    for (const [code, config] of [
      ["ERR_SCORE_NAN", { scoreFunc: () => Number.NaN }],
      ["ERR_EMPTY_LOADER", { dataLoader: [] }],
      ["ERR_ABORTED", { scoreFunc: aborting, signal: abort.signal }],
    ] as const) {
      space.select(chosen);
      await expectCode(code, () => attempt(config));
      expect(space.active).toEqual(chosen);
      expect(native.recalibrating).toBe(false);
    }
    expect(scores).toBe(4);
  });
});
