/**
 * Accuracy and cross entropy of the digits models on held-out images, half of their layers' weights zero (2:4), by magnitude
 * and by SparseGPT, and the mean error of the layers' outputs; each with three orders of the calibration data. Writes the
 * tables into docs/results.md.
 *
 *     node bench/sparsity.mjs [--batches 8] [--dry]
 */
import os from "node:os";
import { parseArgs } from "node:util";

import { convert, crossEntropy, search, setThreads, topKAccuracy } from "torchsearch";

import { example, heldOutLoader, loadModel, trainLoader } from "./lib/digits.mjs";
import { writeSection } from "./lib/page.mjs";

const { values } = parseArgs({
  options: { batches: { type: "string", default: "8" }, dry: { type: "boolean", default: false } },
});
const test = await heldOutLoader();
const accuracy = topKAccuracy(test);
const entropy = crossEntropy(test);
const methods = {
  magnitude: { searcher: "magnitude" },
  SparseGPT: { searcher: "sparsegpt" },
  "SparseGPT, sequential": { searcher: "sparsegpt", sequential: true },
};
const lines = [];
setThreads(1);
const spread = (list, digitsAfter) => list.map((value) => value.toFixed(digitsAfter)).join(" / ");

for (const name of ["digits_resnet", "digits_vit"]) {
  const module = await loadModel(name);
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
      const space = await convert(module, "sparsegpt", example, { pattern: "2:4" });
      const dataLoader = await trainLoader(64, seed);
      const { subnet, stateDict } = await search(space, {}, example, {
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
if (!values.dry) writeSection("results.md", "sparsity", lines.join("\n"));
