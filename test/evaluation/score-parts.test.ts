/** The parts of all batches, however they are cut, make the number of one pass, to the bit. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  crossEntropy,
  klDivergence,
  Module,
  meanSquaredError,
  type ScoreFunction,
  type Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { BatchRange } from "../../lib/data/batch-range";
import { type PartedScore, partsOf, rangesOf } from "../../lib/evaluation/score-parts";
import { cutOf } from "../../lib/search/width/scores-in-parts";

const fixture = (name: string): string => path.join(__dirname, "..", "fixtures", name);

let model: Module;
let teacher: Module;
let loader: TensorDataLoader;

beforeAll(async () => {
  model = await Module.load(fixture("digits_cnn.pt"));
  teacher = await Module.load(fixture("digits_resnet.pt"));
  // The last batch is smaller.
  const keys = ["test_images", "test_labels"];
  loader = await TensorDataLoader.fromNpz(fixture("digits.npz"), { keys, batchSize: 29 });
});
afterAll(() => {
  for (const each of [model, teacher, loader]) each.close();
});

const byName = {
  collectFunc: ((batch: Record<string, Tensor>) => batch.test_images) as never,
  targetFunc: ((batch: Record<string, Tensor>) => batch.test_labels) as never,
};

const SCORES: Record<string, () => ScoreFunction> = {
  topKAccuracy: () => topKAccuracy(loader, { k: 2 }),
  crossEntropy: () => crossEntropy(loader),
  "crossEntropy of 4 batches": () => crossEntropy(loader, { maxBatches: 4 }),
  "crossEntropy by functions": () => crossEntropy(loader, byName),
  "crossEntropy of a range": () => crossEntropy(new BatchRange(loader, 2, 7), byName),
  meanSquaredError: () => meanSquaredError(loader, { teacher }),
  klDivergence: () => klDivergence(loader, teacher),
};

describe("parts of a score", () => {
  it.each(Object.keys(SCORES))("make the score of one pass: %s", async (name) => {
    const whole = await (SCORES[name] as () => ScoreFunction)()(model);
    for (const ranges of [1, 2, 3, 5, 100]) {
      const score = partsOf((SCORES[name] as () => ScoreFunction)()) as PartedScore;
      const parts = [];
      for (const [first, end] of rangesOf(score.batches, ranges))
        parts.push(await score.measure(model, {}, first, end));
      // As they come through a group's store.
      const sent = JSON.parse(JSON.stringify(parts)) as typeof parts;
      expect(score.combine(sent.flat())).toBe(whole);
    }
  });

  it("are none where batches can't be chosen, or the score isn't built in", () => {
    expect(partsOf(crossEntropy([], byName))).toBeNull();
    expect(partsOf(() => 1)).toBeNull();
    expect(partsOf(null)).toBeNull();
  });

  it("are as many as keep all processes busy", () => {
    const cut = (candidates: number, ranks: number, dataShards: number | "auto" = "auto") =>
      cutOf(crossEntropy(loader, { maxBatches: 6 }), dataShards, { candidates, ranks })?.ranges.length ?? 1;
    expect([cut(1, 4), cut(2, 4), cut(3, 4), cut(4, 4), cut(1, 64), cut(1, 1)]).toEqual([4, 2, 2, 1, 6, 1]);
    expect([cut(9, 2, 3), cut(9, 2, 1), cut(9, 1, 3)]).toEqual([3, 1, 1]);
  });
});
