// Searches a digits classifier for the best subnet within 60 % of its latency on this machine, and compares the
// predicted with the measured latency.
//
//   node examples/latency.mjs [file for the latency table, default latency-table.json]
import path from "node:path";
import { fileURLToPath } from "node:url";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  Module,
  profile,
  Tensor,
  TensorDataLoader,
} from "torchsearch";

// More threads don't speed up a network this small.
process.env.OMP_NUM_THREADS ??= "1";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const tableFile = process.argv[2] ?? "latency-table.json";

const train = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
  keys: ["train_images", "train_labels"],
  batchSize: 128,
});
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
const space = await convert(module, "fastnas", dummyInput);

// The first run measures the operators and writes the table; later runs read it. With a table from another machine, the
// search is for that machine.
const { subnet, stateDict } = await new BinarySearcher().search(space, { latency: "60%" }, dummyInput, {
  scoreFunc: crossEntropy(train, { maxBatches: 4 }),
  dataLoader: train,
  maxIterDataLoader: 4,
  maxChoices: 4,
  deployment: { latencyTable: tableFile, threads: 1 },
  verbose: false,
});

const timing = { metrics: ["latency"], warmup: 20, repeats: 200, threads: 1 };
const before = await profile(module, dummyInput, timing);
const after = await profile(subnet, dummyInput, timing);
const { size, conditions } = space.latencyTable;
console.log(`${tableFile}: ${size} measurements on ${conditions.hardware}, ${conditions.threads} thread`);
console.log(
  `full model: ${stateDict.fullCosts.latency.toFixed(3)} ms by the table, ${before.latency.median.toFixed(3)} ms measured`,
);
console.log(
  `subnet:     ${stateDict.best.costs.latency.toFixed(3)} ms by the table, ${after.latency.median.toFixed(3)} ms measured`,
);
const { median, scaledMedian, scale } = await space.latencyError({ samples: 8 });
const percent = (share) => `${(100 * share).toFixed(1)} %`;
console.log(
  `predictions of 10 subnets are off by ${percent(median)} (median), scaled by ${scale.toFixed(2)} by ${percent(scaledMedian)}`,
);
