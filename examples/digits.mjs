// Searches a digits classifier for the best subnet of at most 60 % FLOPs, and saves it as a TorchScript file.
//
//   node examples/digits.mjs [folder for the saved subnet, default demo-out]
import { mkdir, stat } from "node:fs/promises";
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
  topKAccuracy,
} from "torchsearch";

// More threads don't speed up a network this small, and on a busy machine they wait for each other. LibTorch reads this
// variable when it is opened, at the first call below.
process.env.OMP_NUM_THREADS ??= "1";

const BOUND = "60%";
const LATENCY = { warmup: 20, repeats: 200, threads: 1 };

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const originalFile = path.join(fixtures, "digits_resnet.pt");
const data = path.join(fixtures, "digits.npz");
const folder = process.argv[2] ?? "demo-out";
const subnetFile = path.join(folder, "digits_resnet.60-percent-flops.pt");

// The search sees training images only: their cross-entropy rates candidates, and they recalibrate batch norms. The
// table is measured on held-out images, so the search could not adapt to them.
const test = await TensorDataLoader.fromNpz(data, { keys: ["test_images", "test_labels"], batchSize: 250 });
const train = await TensorDataLoader.fromNpz(data, {
  keys: ["train_images", "train_labels"],
  batchSize: 128,
});
const accuracy = topKAccuracy(test);
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** A module's column of the table. */
async function measure(module, file) {
  const { flops, params, latency } = await profile(module, dummyInput, LATENCY);
  // TorchScript compiles during the first passes; the median of later ones is what scoring costs from then on.
  for (let warmup = 0; warmup < 3; warmup++) await accuracy(module);
  let score = 0;
  const times = [];
  for (let pass = 0; pass < 5; pass++) {
    const start = performance.now();
    score = await accuracy(module);
    times.push(performance.now() - start);
  }
  const wall = times.sort((a, b) => a - b)[2];
  return { score, flops, params, latency: latency.median, bytes: (await stat(file)).size, wall };
}

const module = await Module.load(originalFile);
const before = await measure(module, originalFile);

console.log(`Searching ${path.basename(originalFile)} for a subnet of at most ${BOUND} FLOPs …`);
const start = performance.now();
const space = await convert(module, "fastnas", dummyInput);
const { subnet, stateDict } = await new BinarySearcher().search(space, { flops: BOUND }, dummyInput, {
  scoreFunc: crossEntropy(train, { maxBatches: 4 }),
  dataLoader: train,
  maxIterDataLoader: 4,
  verbose: process.stderr.isTTY === true,
});
const searchSeconds = (performance.now() - start) / 1000;

await mkdir(folder, { recursive: true });
await subnet.save(subnetFile);
const after = await measure(subnet, subnetFile);

const rows = [
  ["", "before", "after", "after / before"],
  row("accuracy on 500 held-out images", (m) => m.score, percent),
  row("FLOPs (1 image)", (m) => m.flops, count),
  row("parameters", (m) => m.params, count),
  row(`latency (1 image, ${LATENCY.threads} thread, median of ${LATENCY.repeats})`, (m) => m.latency, ms),
  row(
    "file size",
    (m) => m.bytes,
    (bytes) => `${(bytes / 1024).toFixed(0)} KiB`,
  ),
  row("wall time of scoring those images (median of 5)", (m) => m.wall, ms),
];
const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
console.log();
for (const cells of rows) {
  const padded = cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])));
  console.log(padded.join("  ").trimEnd());
}
console.log();
console.log(
  `Widths: ${Object.entries(stateDict.best.config)
    .map(([name, width]) => `${name} ${width}`)
    .join(", ")}`,
);
console.log(`Wall time of the search: ${searchSeconds.toFixed(1)} s`);
console.log(`Saved the subnet as ${subnetFile}`);

function row(title, of, format) {
  return [title, format(of(before)), format(of(after)), percent(of(after) / of(before))];
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function count(value) {
  return value.toLocaleString("en-US");
}

function ms(value) {
  return `${value.toFixed(2)} ms`;
}
