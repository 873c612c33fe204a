/**
 * Makes half of a network's weights zero, two of each four neighbours (2:4). Compares keeping the largest weights with
 * SparseGPT, which also adjusts the weights that it keeps. Writes a TorchScript file whose masks keep the zeros in
 * training.
 *
 *     node examples/sparsity.mjs [model.pt]
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { convert, Module, search, Tensor, TensorDataLoader, topKAccuracy } from "../dist/index.mjs";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const file = process.argv[2] ?? path.join(fixtures, "digits_vit.pt");
const digits = path.join(fixtures, "digits.npz");
const calibration = await TensorDataLoader.fromNpz(digits, {
  keys: ["train_images"],
  batchSize: 64,
  shuffle: true,
});
const test = await TensorDataLoader.fromNpz(digits, { keys: ["test_images", "test_labels"], batchSize: 250 });
const accuracy = topKAccuracy(test);
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

const module = await Module.load(file);
console.log(`Dense: ${(100 * (await accuracy(module))).toFixed(2)} % on held-out images`);
for (const mode of ["sparse_magnitude", "sparsegpt"]) {
  const space = await convert(module, mode, dummyInput, { pattern: "2:4" });
  const { subnet, stateDict } = await search(space, {}, dummyInput, {
    dataLoader: calibration,
    maxIterDataLoader: 8,
    scoreFunc: accuracy,
    verbose: false,
  });
  const { score, costs } = stateDict.best;
  const errors = Object.values(stateDict.layers).map(({ error }) => error);
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  console.log(
    `${mode}: ${(100 * score).toFixed(2)} %, ${(100 * costs.density).toFixed(1)} % of the layers' weights stay, ` +
      `their outputs are off by ${(100 * mean).toFixed(2)} % in squares`,
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-sparsity-"));
  const saved = path.join(folder, "sparse.pt");
  await subnet.save(saved);
  const again = await Module.load(saved);
  const masks = again.namedBuffers().filter(({ name }) => name.endsWith("_mask"));
  console.log(`  saved and loaded: ${masks.length} masks, ${(100 * (await accuracy(again))).toFixed(2)} %`);
  rmSync(folder, { recursive: true });
  for (const item of [again, subnet, space]) item.close();
}
module.close();
