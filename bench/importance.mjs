/**
 * Which importance keeps the most accuracy: the digits models at uniform widths, for every importance, without
 * training. Prints the table of docs/importance.md.
 *
 *     node bench/importance.mjs [--samples 512] [--seeds 10]
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { IMPORTANCES } from "../dist/entries/space.mjs";
import { convert, Module, Tensor, TensorDataLoader, topKAccuracy } from "../dist/index.mjs";

const { values } = parseArgs({
  options: { samples: { type: "string", default: "512" }, seeds: { type: "string", default: "10" } },
});
const samples = Number(values.samples);
const seeds = Number(values.seeds);
const BATCH = 64;
const BOUNDS = [0.6, 0.4];
const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const digits = path.join(fixtures, "digits.npz");
const train = await TensorDataLoader.fromNpz(digits, {
  keys: ["train_images", "train_labels"],
  batchSize: BATCH,
  shuffle: true,
});
const test = await TensorDataLoader.fromNpz(digits, {
  keys: ["test_images", "test_labels"],
  batchSize: 250,
});
const accuracy = topKAccuracy(test);

/** The widest subnet within a share of the full FLOPs whose widths are all the same share of the full ones. */
function uniform(space, share) {
  const bound = share * space.cost(space.fullConfig, "flops");
  const configOf = (ratio) =>
    Object.fromEntries(
      space.hyperparameters.map(({ name, choices, full }) => [
        name,
        choices.filter((width) => width <= ratio * full).at(-1) ?? choices[0],
      ]),
    );
  let best = space.smallestConfig;
  for (let step = 1; step <= 1000; step += 1) {
    const config = configOf(step / 1000);
    if (space.cost(config, "flops") > bound) break;
    best = config;
  }
  return best;
}

async function measure(file, config) {
  const module = await Module.load(file);
  const space = await convert(module, "fastnas", Tensor.from(new Float32Array(64), [1, 1, 8, 8]), {
    channelDivisor: 1,
    depth: false,
    ...config,
  });
  const scores = [];
  for (const share of BOUNDS) {
    space.select(uniform(space, share));
    scores.push(await accuracy(space));
    await space.recalibrate(train, { maxBatches: samples / BATCH });
    scores.push(await accuracy(space));
    await space.reconstruct(train, { maxBatches: samples / BATCH });
    await space.recalibrate(train, { maxBatches: samples / BATCH });
    scores.push(await accuracy(space));
  }
  module.close();
  return scores;
}

const percent = (value) => `${(100 * value).toFixed(1)}`;
const heads = BOUNDS.flatMap((share) => [`${100 * share} %`, "recalibrated", "reconstructed"]);
for (const model of ["digits_resnet", "digits_cnn", "digits_vit"]) {
  const file = path.join(fixtures, `${model}.pt`);
  console.log(`\n| ${model} | ${heads.join(" | ")} |\n| --- | ${heads.map(() => "---:").join(" | ")} |`);
  for (const importance of IMPORTANCES) {
    const learns = importance === "taylor" || importance === "activation";
    const config = learns ? { importance, data: train, maxBatches: samples / BATCH } : { importance };
    const runs = [];
    for (let seed = 0; seed < (importance === "random" ? seeds : 1); seed += 1) {
      runs.push(await measure(file, { ...config, seed }));
    }
    const means = heads.map((_, i) => runs.reduce((sum, run) => sum + run[i], 0) / runs.length);
    console.log(`| \`${importance}\` | ${means.map(percent).join(" | ")} |`);
  }
}
