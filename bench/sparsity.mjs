/**
 * Accuracy and cross entropy of the digits models on held-out images, half of their layers' weights zero (2:4), by magnitude
 * and by SparseGPT, and the mean error of the layers' outputs; each with three orders of the calibration data. Writes the
 * tables into docs/results.md.
 *
 *     node bench/sparsity.mjs [--batches 8] [--dry]
 */
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import {
  convert,
  crossEntropy,
  Module,
  search,
  setThreads,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../dist/index.mjs";

const { values } = parseArgs({
  options: { batches: { type: "string", default: "8" }, dry: { type: "boolean", default: false } },
});
const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const digits = path.join(fixtures, "digits.npz");
const test = await TensorDataLoader.fromNpz(digits, { keys: ["test_images", "test_labels"], batchSize: 250 });
const accuracy = topKAccuracy(test);
const entropy = crossEntropy(test);
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const methods = {
  magnitude: { searcher: "magnitude" },
  SparseGPT: { searcher: "sparsegpt" },
  "SparseGPT, sequential": { searcher: "sparsegpt", sequential: true },
};
const lines = [];
setThreads(1);
const spread = (list, digitsAfter) => list.map((value) => value.toFixed(digitsAfter)).join(" / ");

for (const name of ["digits_resnet", "digits_vit"]) {
  const module = await Module.load(path.join(fixtures, `${name}.pt`));
  lines.push(
    `| \`${name}\` | accuracy, % | cross entropy | layers' output error, % |`,
    "| --- | ---: | ---: | ---: |",
  );
  lines.push(
    `| dense | ${(100 * (await accuracy(module))).toFixed(2)} | ${(-(await entropy(module))).toFixed(4)} | 0 |`,
  );
  for (const [label, config] of Object.entries(methods)) {
    const rows = [[], [], []];
    for (const seed of [0, 1, 2]) {
      const space = await convert(module, "sparsegpt", dummyInput, { pattern: "2:4" });
      const dataLoader = await TensorDataLoader.fromNpz(digits, {
        keys: ["train_images"],
        batchSize: 64,
        shuffle: true,
        seed,
      });
      const { subnet, stateDict } = await search(space, {}, dummyInput, {
        ...config,
        dataLoader,
        maxIterDataLoader: Number(values.batches),
        verbose: false,
      });
      const errors = Object.values(stateDict.layers).map(({ error }) => error);
      rows[0].push(100 * (await accuracy(subnet)));
      rows[1].push(-(await entropy(subnet)));
      rows[2].push((100 * errors.reduce((sum, error) => sum + error, 0)) / errors.length);
      subnet.close();
      space.close();
    }
    lines.push(`| ${label} | ${spread(rows[0], 2)} | ${spread(rows[1], 4)} | ${spread(rows[2], 2)} |`);
  }
  lines.push("");
  module.close();
}
lines.push(
  `Values by seed. Measured on ${os.cpus()[0].model.trim()}, one thread, Node ${process.versions.node}, by \`node bench/sparsity.mjs\`.`,
);
console.log(lines.join("\n"));
if (!values.dry) {
  const file = path.join(fixtures, "..", "..", "docs", "results.md");
  const text = readFileSync(file, "utf8");
  const [begin, end] = ["<!-- sparsity: begin -->", "<!-- sparsity: end -->"];
  const at = text.indexOf(begin);
  if (at < 0) throw new Error(`docs/results.md has no ${begin}`);
  writeFileSync(file, `${text.slice(0, at)}${begin}\n${lines.join("\n")}\n${text.slice(text.indexOf(end))}`);
}
