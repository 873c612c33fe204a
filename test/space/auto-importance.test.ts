/** `importance: "auto"` in a conversion: what wins is what a hand-made comparison of the measures says. */
import path from "node:path";
import { beforeAll, expect, it } from "vitest";

import {
  convert,
  crossEntropy,
  klDivergence,
  Module,
  type SearchSpace,
  search,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import type { ConvertConfig, Importance } from "../../lib/entries/space";
import { expectCode } from "../support/tensors";

const fixtures = path.join(__dirname, "..", "fixtures");
const file = path.join(fixtures, "digits_cnn.pt");
const input = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
let data: TensorDataLoader;
let images: TensorDataLoader;

beforeAll(async () => {
  const npz = path.join(fixtures, "digits.npz");
  data = await TensorDataLoader.fromNpz(npz, { keys: ["train_images", "train_labels"], batchSize: 64 });
  images = await TensorDataLoader.fromNpz(npz, { keys: ["train_images"], batchSize: 64 });
});

async function open(config: Partial<ConvertConfig>): Promise<{ module: Module; space: SearchSpace }> {
  const module = await Module.load(file);
  return { module, space: await convert(module, "fastnas", input(), { channelDivisor: 8, ...config }) };
}

/** The sum of the scores at three quarters and at half of all widths, by the public functions alone. */
async function byHand(importance: Importance, labelled: boolean): Promise<number> {
  const learns = !["l1", "l2", "fpgm", "lamp", "bnScale", "random"].includes(importance);
  const { space } = await open({
    importance,
    ...(learns && { data, maxBatches: 2 }),
    ...((importance === "taylor" || importance === "obd") && { loss: "crossEntropy" as const }),
  });
  const full = await Module.load(file);
  const score = labelled
    ? crossEntropy(data, { maxBatches: 2 })
    : klDivergence(images, full, { maxBatches: 2 });
  let sum = 0;
  for (const share of [0.75, 0.5]) {
    const widths = space.hyperparameters
      .filter(({ kind }) => kind !== "depth")
      .map(({ name, choices, full: most }) => [
        name,
        Math.max(...choices.filter((each) => each <= share * most)),
      ]);
    space.select({ ...space.fullConfig, ...Object.fromEntries(widths) });
    await space.recalibrate(images, { maxBatches: 2 });
    sum += await score(space);
  }
  space.close();
  return sum;
}

it("takes the measure that loses least by the labels", { timeout: 120_000 }, async () => {
  const { space, module } = await open({ importance: "auto", data, maxBatches: 2, loss: "crossEntropy" });
  const tried = space.importances ?? [];
  expect(tried.map(({ importance }) => importance).sort()).toEqual(
    ["activation", "bnScale", "fpgm", "l2", "lamp", "obd", "obs", "taylor"].sort(),
  );
  for (const { importance, score } of tried)
    expect(score, importance).toBeCloseTo(await byHand(importance, true), 4);
  const scores = tried.map(({ score }) => score);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  expect(space.active).toEqual(space.fullConfig);
  // The space is the one that this measure makes alone.
  const { importance } = tried[0] as { importance: Importance };
  const learns = ["activation", "taylor", "obd", "obs"].includes(importance);
  const targets = ["taylor", "obd"].includes(importance);
  const { module: alone } = await open({
    importance,
    ...(learns && { data, maxBatches: 2 }),
    ...(targets && { loss: "crossEntropy" as const }),
  });
  expect(await module.fingerprint()).toBe(await alone.fingerprint());
});

it("compares outputs with the full model's where there is no loss", { timeout: 120_000 }, async () => {
  const { space } = await open({ importance: "auto", data: images, maxBatches: 2 });
  const tried = space.importances ?? [];
  expect(tried.map(({ importance }) => importance)).not.toContain("taylor");
  expect(tried.length).toBe(6);
  for (const { importance, score } of tried.slice(0, 2))
    expect(score, importance).toBeCloseTo(await byHand(importance, false), 3);
});

it("leaves the module as it was where it is aborted or fails", { timeout: 120_000 }, async () => {
  const module = await Module.load(file);
  const before = await module.fingerprint();
  const controller = new AbortController();
  let events = 0;
  const onProgress = () => {
    if (++events === 6) controller.abort();
  };
  const config = { importance: "auto" as const, data, maxBatches: 4, signal: controller.signal, onProgress };
  await expectCode("ERR_ABORTED", () => convert(module, "fastnas", input(), config));
  expect(events).toBeGreaterThanOrEqual(6);
  expect(await module.fingerprint()).toBe(before);
  await expectCode("ERR_CONFIG_VALUE", () => convert(module, "fastnas", input(), { importance: "auto" }));
  const empty: unknown[] = [];
  await expectCode("ERR_EMPTY_LOADER", () =>
    convert(module, "fastnas", input(), { importance: "auto", data: empty as never }),
  );
  expect(await module.fingerprint()).toBe(before);
});

it("is searched as any other space", { timeout: 120_000 }, async () => {
  const { space } = await open({ importance: "auto", data, maxBatches: 1, loss: "crossEntropy" });
  const { subnet, stateDict } = await search(space, { flops: "60%" }, input(), {
    scoreFunc: crossEntropy(data, { maxBatches: 1 }),
    maxChoices: 1,
    verbose: false,
  });
  expect(stateDict.best?.costs.flops).toBeLessThanOrEqual(0.6 * space.cost(space.fullConfig, "flops"));
  subnet.close();
});
