// A number format for each layer: 6 bits a weight on average, chosen by how much each format harms each layer.
//   node examples/quantization.mjs
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { convert, Module, search, Tensor, TensorDataLoader, topKAccuracy } from "torchsearch";

process.env.OMP_NUM_THREADS ??= "1"; // more threads only wait for each other in a network this small

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const data = path.join(fixtures, "digits.npz");
const train = await TensorDataLoader.fromNpz(data, {
  keys: ["train_images", "train_labels"],
  batchSize: 128,
  shuffle: true,
  seed: 0,
});
const heldOut = await TensorDataLoader.fromNpz(data, {
  keys: ["test_images", "test_labels"],
  batchSize: 250,
});
const accuracy = topKAccuracy(heldOut);
const percent = async (model) => `${(100 * (await accuracy(model))).toFixed(1)} %`;

const module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const space = await convert(module, "auto_quantize", dummyInput, { formats: ["int8", "int4"] });
console.log(`${space.layers.length} layers in ${space.hyperparameters.length} groups.`);

const { subnet, stateDict } = await search(space, { effectiveBits: 6 }, null, {
  dataLoader: train, // calibrates the activations, and measures sensitivities
  maxIterDataLoader: 4,
  verbose: false,
});
const { config, costs } = stateDict.best;
for (const [layer, format] of Object.entries(config)) console.log(`  ${layer}: ${format}`);
console.log(`Effective bits: ${costs.effectiveBits.toFixed(2)}`);
console.log(`Size: ${((100 * costs.size) / stateDict.fullCosts.size).toFixed(1)} % of the full model's`);
console.log(`Dual gap: ${stateDict.milp.gap}`);
console.log(`Accuracy on held-out images: ${await percent(subnet)} (float32: ${await percent(module)})`);

const file = path.join(mkdtempSync(path.join(os.tmpdir(), "torchsearch-")), "quantized.pt");
await subnet.save(file); // torch.jit.load(…) opens it, and trains it
console.log(`Saved ${file}`);
