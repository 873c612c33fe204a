// Hyperparameters of your own: the bits of each weight matrix of a small vision transformer and the temperature of its
// attention, searched together with its widths within a budget of FLOPs and one of stored bits.
//
//   node examples/hyperparameters.mjs
import path from "node:path";
import { fileURLToPath } from "node:url";

import {
  convert,
  crossEntropy,
  MilpSearcher,
  Module,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

process.env.OMP_NUM_THREADS ??= "1"; // more threads only wait for each other in a network this small

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const open = (part, options) =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: [`${part}_images`, `${part}_labels`],
    ...options,
  });
const train = await open("train", { batchSize: 256 });
const test = await open("test", { batchSize: 256 });

/**
 * A matrix as a sum of `terms` binary matrices with one scale a row, each fitted to the remainder (Guo et al., "Network
 * Sketching", CVPR 2017).
 */
function sketched(weight, terms) {
  const [rows, columns] = weight.shape;
  const rest = Float32Array.from(weight.data());
  const sum = new Float32Array(rest.length);
  for (let term = 0; term < terms; term++) {
    for (let row = 0; row < rows; row++) {
      const at = row * columns;
      const scale =
        rest.subarray(at, at + columns).reduce((total, value) => total + Math.abs(value), 0) / columns;
      for (let i = at; i < at + columns; i++) {
        const binary = rest[i] < 0 ? -scale : scale;
        sum[i] += binary;
        rest[i] -= binary;
      }
    }
  }
  return Tensor.from(sum, weight.shape);
}

// Made from the weights of the file, before convert() reorders channels.
const module = await Module.load(path.join(fixtures, "digits_vit.pt"));
const TERMS = [1, 2, 4];
const matrices = module
  .namedParameters()
  .filter(({ name }) => /\.(qkv|proj|fc1|fc2)\.weight$/.test(name))
  .map(({ name, tensor }) => ({
    name,
    elements: tensor.size,
    values: TERMS.map((terms) => sketched(tensor, terms)),
  }));

const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const space = await convert(module, "fastnas", example);
const before = await topKAccuracy(test)(space);

for (const { name, values } of matrices)
  await space.addHyperparameter(`${name}.bits`, { tensor: name, values });

// One number for the attention of all blocks: half, the same, and one and a half times the usual scale.
const scales = space.constants().filter(({ argument }) => argument === "scale");
const [{ value: usual }] = scales;
await space.addHyperparameter("attention.scale", {
  constant: scales.map(({ name }) => name),
  values: [0.5 * usual, 1.5 * usual],
});

// Bits of the matrices at full width. A config names the first choice 0; the last one is the weights themselves.
const bitsOf = (choice) => TERMS[choice] ?? 32;
space.addMetric("bits", (config) =>
  matrices.reduce((sum, { name, elements }) => sum + elements * bitsOf(config[`${name}.bits`]), 0),
);

const { subnet, stateDict } = await new MilpSearcher().search(space, { flops: "90%", bits: "10%" }, example, {
  scoreFunc: crossEntropy(train, { maxBatches: 2 }),
  maxChoices: 2,
  verbose: false,
});
const { config, costs } = stateDict.best;
const { fullCosts } = stateDict;
await subnet.save("digits_vit.subnet.pt");

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const kept = matrices.map(({ name }) => bitsOf(config[`${name}.bits`]));
console.log(`accuracy: ${percent(before)} before, ${percent(await topKAccuracy(test)(subnet))} after`);
console.log(`FLOPs: ${percent(costs.flops / fullCosts.flops)} of the full model's`);
console.log(`bits: ${percent(costs.bits / fullCosts.bits)}, by matrix ${kept.join(" ")}`);
console.log(`scale of attention: ${config["attention.scale"]} (usual: ${usual})`);
