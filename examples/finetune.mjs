// A search, then training: the subnet within 50 % of the FLOPs (or, with --params, of the parameters), as it comes from the
// search and after two epochs with the full model as teacher. `node examples/finetune.mjs [--model digits_vit] [--params]`
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  finetune,
  Module,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

process.env.OMP_NUM_THREADS ??= "1"; // more threads only wait for each other in a network this small

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "digits_resnet" },
    params: { type: "boolean", default: false },
    seed: { type: "string", default: "0" },
  },
});
const seed = Number(values.seed);
const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const file = path.join(fixtures, `${values.model}.pt`);
const open = (part, options) =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: [`${part}_images`, `${part}_labels`],
    ...options,
  });
const rated = await open("train", { batchSize: 128, shuffle: true, seed });
const train = await open("train", { batchSize: 32 });
const heldOut = topKAccuracy(await open("test", { batchSize: 250 }));

const full = await Module.load(file);
const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const space = await convert(await Module.load(file), "fastnas", example);
const metric = values.params ? "params" : "flops";
const { subnet, stateDict } = await new BinarySearcher().search(space, { [metric]: "50%" }, example, {
  scoreFunc: crossEntropy(rated, { maxBatches: 4 }),
  dataLoader: rated,
  maxIterDataLoader: 4,
  verbose: false,
  seed,
});
const before = await heldOut(subnet);
// Held-out images influence no choice: the weights are those after the last epoch.
await finetune(subnet, train, {
  epochs: 2,
  learningRate: 2e-3,
  clipNorm: 1,
  warmupSteps: 8,
  teacher: full,
  seed,
});
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const { costs } = stateDict.best;
console.log(`FLOPs: ${percent(costs.flops / stateDict.fullCosts.flops)} of the full model's`);
console.log(`Parameters: ${percent(costs.params / stateDict.fullCosts.params)}`);
console.log(`Accuracy on held-out images, full model: ${percent(await heldOut(full))}`);
console.log(`Accuracy on held-out images, subnet: ${percent(before)}`);
console.log(`Accuracy on held-out images, after two epochs: ${percent(await heldOut(subnet))}`);
