/** Candidates that can't win are not scored to the end, and that changes nothing in what a search ends with. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  crossEntropy,
  EvolveSearcher,
  Module,
  RandomSearcher,
  type ScoreFunction,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../../lib";
import { subnetsOf } from "../../../lib/entries/search";
import { expectCode } from "../../support/tensors";

const fixtures = path.join(__dirname, "..", "..", "fixtures");
const keys = ["train_images", "train_labels"];
const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-early-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const loaderOf = (batchSize: number, shuffle = true): Promise<TensorDataLoader> =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), { keys, batchSize, shuffle, seed: 3 });

const space = async () =>
  convert(await Module.load(path.join(fixtures, "digits_cnn.pt")), "fastnas", input, { channelDivisor: 4 });

const searchers = {
  random: { Searcher: RandomSearcher, config: { numIters: 25 } },
  evolve: { Searcher: EvolveSearcher, config: { numIters: 40, populationSize: 8, candidateSize: 3 } },
} as const;

interface Settings {
  name: keyof typeof searchers;
  score: ScoreFunction;
  earlyStopping: false | "exact" | { errorProbability: number };
  seed: number;
  more?: Record<string, unknown>;
}

async function search({ name, score, earlyStopping, seed, more = {} }: Settings) {
  const { Searcher, config } = searchers[name];
  const searched = await space();
  try {
    const { subnet, stateDict } = await new Searcher().search(searched, { flops: "70%" }, input, {
      ...config,
      scoreFunc: score,
      seed,
      verbose: false,
      earlyStopping,
      ...more,
    });
    subnet.close();
    return stateDict;
  } finally {
    searched.close();
  }
}

describe.each(["random", "evolve"] as const)("%s", (name) => {
  it.each([
    { title: "accuracy", factory: topKAccuracy, batchSize: 16, seed: 1 },
    { title: "accuracy", factory: topKAccuracy, batchSize: 12, seed: 1 },
    { title: "cross-entropy", factory: crossEntropy, batchSize: 16, seed: 3 },
    { title: "cross-entropy", factory: crossEntropy, batchSize: 50, seed: 4 },
  ])("ends the same by exact bounds of $title in batches of $batchSize", async (each) => {
    const score = each.factory(await loaderOf(each.batchSize), {
      maxBatches: Math.ceil(480 / each.batchSize),
    });
    const all = await search({ name, score, earlyStopping: false, seed: each.seed });
    const some = await search({ name, score, earlyStopping: "exact", seed: each.seed });
    expect(some.best).toEqual(all.best);
    if ("parents" in all && "parents" in some) expect(some.parents).toEqual(all.parents);
    const scored = subnetsOf(all.candidates);
    const stopped = subnetsOf(some.candidates);
    expect(stopped.map(({ config }) => config)).toEqual(scored.map(({ config }) => config));
    stopped.forEach(({ score: value, atMost }, row) => {
      const whole = scored[row]?.score as number;
      if (atMost === undefined) expect(value).toBe(whole);
      else {
        expect(value).toBeNaN();
        expect(atMost).toBeGreaterThanOrEqual(whole);
        expect(atMost).toBeLessThan(all.best?.score as number);
      }
    });
    expect(stopped.some(({ atMost }) => atMost !== undefined)).toBe(true);
  });

  it("goes on from a checkpoint as if never interrupted, with what was stopped", async () => {
    const score = crossEntropy(await loaderOf(32), { maxBatches: 12 });
    const straight = await search({ name, score, earlyStopping: "exact", seed: 5 });
    const checkpoint = path.join(folder, `${name}.safetensors`);
    let calls = 0;
    const breaking: ScoreFunction = (model, context) => {
      calls += 1;
      if (calls === 15) throw new Error("power cut");
      return score(model, context);
    };
    const broken = { name, earlyStopping: "exact", seed: 5, more: { checkpoint } } as const;
    await expectCode("ERR_SCORE_FAILED", () => search({ ...broken, score: breaking }));
    const resumed = await search({ ...broken, score });
    expect(resumed.best).toEqual(straight.best);
    expect(resumed.candidates).toEqual(straight.candidates);
    expect(straight.candidates.atMost?.some(Number.isFinite)).toBe(true);
  });

  it("runs fewer samples by racing, and refuses it where its probability can't be kept", async () => {
    const count = (score: ScoreFunction, total: number): { score: ScoreFunction; samples: () => number } => {
      let samples = 0;
      return {
        samples: () => samples,
        score: (model, context = {}) => {
          const { stop } = context;
          samples += total;
          if (!stop) return score(model, context);
          const onStop = (seen: number): void => {
            samples += seen - total;
            stop.onStop(seen);
          };
          return score(model, { ...context, stop: { ...stop, onStop } });
        },
      };
    };
    const loader = await loaderOf(16);
    const exact = count(topKAccuracy(loader, { maxBatches: 60 }), 960);
    const racing = count(topKAccuracy(loader, { maxBatches: 60 }), 960);
    await search({ name, score: exact.score, earlyStopping: "exact", seed: 6 });
    const raced = await search({
      name,
      score: racing.score,
      earlyStopping: { errorProbability: 0.1 },
      seed: 6,
    });
    expect(Number.isFinite(raced.best?.score)).toBe(true);
    expect(racing.samples()).toBeLessThan(exact.samples());
    const refused = { name, earlyStopping: { errorProbability: 0.1 }, seed: 6 } as const;
    await expectCode("ERR_EARLY_STOPPING", () => search({ ...refused, score: crossEntropy(loader) }));
    const ordered = topKAccuracy(await loaderOf(16, false));
    await expectCode("ERR_EARLY_STOPPING", () => search({ ...refused, score: ordered }));
    const bad = { errorProbability: 1 };
    await expectCode("ERR_CONFIG_VALUE", () => search({ name, score: ordered, seed: 6, earlyStopping: bad }));
  });
});
