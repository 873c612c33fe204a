// Supernet training: subnets within 50 % of the FLOPs before and after `trainSupernet()`. None is trained by itself.
// `node examples/supernet.mjs [--model digits_vit] [--epochs 10] [--subnets 16] [--seed 0]`
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import {
  convert,
  crossEntropy,
  Module,
  Random,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
  trainSupernet,
} from "torchsearch";

process.env.OMP_NUM_THREADS ??= "1"; // more threads only wait for each other in a network this small

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "digits_resnet" },
    epochs: { type: "string", default: "10" },
    subnets: { type: "string", default: "16" },
    seed: { type: "string", default: "0" },
  },
});
const seed = Number(values.seed);
const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const open = (part, options) =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: [`${part}_images`, `${part}_labels`],
    ...options,
  });
const train = await open("train", { batchSize: 32 });
const rated = await open("train", { batchSize: 128, shuffle: true, seed });
const test = await open("test", { batchSize: 250 });

const module = await Module.load(path.join(fixtures, `${values.model}.pt`));
const space = await convert(module, "autonas", Tensor.from(new Float32Array(64), [1, 1, 8, 8]));

// Subnets that use between 45 % and 50 % of the FLOPs.
const full = space.cost(space.fullConfig, "flops");
const rng = new Random(seed);
const subnets = [];
while (subnets.length < Number(values.subnets)) {
  const config = space.sample(rng);
  const share = space.cost(config, "flops") / full;
  if (share >= 0.45 && share <= 0.5) subnets.push(config);
}

/** Scores on the held-out images; each subnet has batch norm statistics of its own. */
async function scores(configs) {
  const found = { accuracy: [], loss: [] };
  for (const config of configs) {
    space.select(config);
    await space.recalibrate(rated, { maxBatches: 4 });
    found.accuracy.push(100 * (await topKAccuracy(test)(space)));
    found.loss.push(-(await crossEntropy(test)(space)));
  }
  return found;
}

async function printScores(when) {
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const { accuracy, loss } = await scores(subnets);
  const [best] = (await scores([space.fullConfig])).accuracy;
  console.log(
    `${when}: mean ${mean(accuracy).toFixed(1)} %, worst ${Math.min(...accuracy).toFixed(1)} %, ` +
      `cross-entropy ${mean(loss).toFixed(3)}, full model ${best.toFixed(1)} %`,
  );
}

await printScores("Before");
const start = performance.now();
const { steps } = await trainSupernet(space, train, {
  epochs: Number(values.epochs),
  learningRate: 2e-3,
  warmupSteps: 20,
  clipNorm: 1,
  seed,
});
console.log(`${steps} steps in ${((performance.now() - start) / 1000).toFixed(1)} s`);
await printScores("After");
module.close();
