/** Searches that keep activations give what searches without give, bit by bit, in less work. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  Module,
  Random,
  type ScoreFunction,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
} from "../../../lib";
import type { BinarySearchState } from "../../../lib/entries/search";
import type { ActivationReuse } from "../../../lib/entries/space";
import { expectCode, numbersOf } from "../../support/tensors";
import { root } from "../../support/zoo";

const file = path.join(root, "test", "fixtures", "digits_resnet.pt");
const data = path.join(root, "test", "fixtures", "digits.npz");
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

let score: ScoreFunction;
let calibration: TensorDataLoader;

beforeAll(async () => {
  const keys = ["train_images", "train_labels"];
  const loader = await TensorDataLoader.fromNpz(data, { keys, batchSize: 50, shuffle: true });
  score = crossEntropy(loader, { maxBatches: 2 });
  calibration = await TensorDataLoader.fromNpz(data, { keys: ["train_images"], batchSize: 64 });
});
afterAll(() => calibration.close());

async function space(): Promise<SearchSpace> {
  return convert(await Module.load(file), "fastnas", dummyInput());
}

async function search(
  activationCache: number | false | null,
): Promise<{ state: BinarySearchState; reuse: ActivationReuse }> {
  const model = await space();
  const { stateDict } = await new BinarySearcher().search(model, { flops: "60%" }, null, {
    scoreFunc: score,
    dataLoader: calibration,
    maxIterDataLoader: 2,
    maxChoices: 2,
    verbose: false,
    activationCache,
  });
  return { state: stateDict, reuse: model.reuse };
}

describe("searches that keep activations", { timeout: 240_000 }, () => {
  it("end with the same state, in less work, and hold nothing afterwards", async () => {
    const without = await search(false);
    const kept = await search(null);
    const little = await search(300_000);
    expect(kept.state).toEqual(without.state);
    expect(little.state).toEqual(without.state);
    expect(without.reuse.forwards).toBe(0);
    expect(kept.reuse.hits).toBeGreaterThan(kept.reuse.forwards / 2);
    expect(kept.reuse.macsSkipped).toBeGreaterThan(0.3 * kept.reuse.macsRun);
    expect(little.reuse.peak).toBeLessThanOrEqual(300_000);
    expect(little.reuse.macsSkipped).toBeLessThan(kept.reuse.macsSkipped);
    expect(kept.reuse).toMatchObject({ bytes: 0, budget: 0, entries: 0 });
  });

  it("go on from where a hyperparameter begins, also in loops of JavaScript", async () => {
    const model = await space();
    const last = [...model.hyperparameters].sort((a, b) => a.begins - b.begins).at(-1)!;
    const images = [...calibration]
      .slice(0, 2)
      .map((batch) => (batch as Record<string, Tensor>).train_images!);
    const narrow = last.choices.map((choice) => ({ ...model.fullConfig, [last.name]: choice }));
    const run = async (): Promise<unknown[]> => {
      const outputs: unknown[] = [];
      for (const config of narrow) {
        model.select(config);
        await model.recalibrate(images.map((image) => [image]));
        for (const image of images) outputs.push(numbersOf((await model.forward(image)) as Tensor));
      }
      return outputs;
    };
    const plain = await run();
    model.reuseActivations(2 ** 28);
    model.expect(narrow);
    expect(await run()).toEqual(plain);
    expect(model.reuse.hits).toBe(4 * (narrow.length - 1));
    model.reuseActivations(0);
    expect(model.reuse.bytes).toBe(0);
  });

  it("read inputs and weights each time, whoever changes them", async () => {
    const module = await Module.load(file);
    const model = await convert(module, "fastnas", dummyInput());
    const last = [...model.hyperparameters].sort((a, b) => a.begins - b.begins).at(-1)!;
    const narrow = { ...model.fullConfig, [last.name]: last.choices[0]! };
    const random = new Random(1);
    const values = Float32Array.from({ length: 128 }, () => random.float());
    const images = Tensor.from(values, [2, 1, 8, 8]);
    const output = async (): Promise<unknown> => {
      model.select(narrow);
      return numbersOf((await model.forward(images)) as Tensor);
    };
    model.reuseActivations(2 ** 28);
    model.expect(Array(8).fill(narrow));
    const first = await output();
    expect(await output()).toEqual(first);
    values[5]! += 1;
    expect(await output()).not.toEqual(first);
    values[5]! -= 1;
    const weight = module.namedParameters()[0]!.tensor.data() as Float32Array;
    weight[0]! += 1;
    expect(await output()).not.toEqual(first);
  });

  it("refuse a budget that is none", async () => {
    const model = await space();
    await expectCode("ERR_CONFIG_VALUE", () => model.reuseActivations(-1));
    await expectCode("ERR_CHOICE", () =>
      model.expect([{ ...model.fullConfig, [model.hyperparameters[0]!.name]: 3 }]),
    );
  });
});
