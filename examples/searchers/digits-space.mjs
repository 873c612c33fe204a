// The search space of this folder's examples: a digits classifier, rated by its cross-entropy on some training images,
// with batch norms recalibrated on others. The last line of each example is measured on held-out images.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { convert, crossEntropy, Module, Tensor, TensorDataLoader, topKAccuracy } from "torchsearch";

process.env.OMP_NUM_THREADS ??= "1"; // more threads only wait for each other in a network this small

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..", "test", "fixtures");
const data = path.join(fixtures, "digits.npz");

export const modelFile = path.join(fixtures, "digits_resnet.pt");
export const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** A new search space, because a search leaves its result selected. */
export async function digitsSpace() {
  return convert(await Module.load(modelFile), "fastnas", example);
}

/** A config that rates and recalibrates candidates; the seed picks the training images. */
export async function digitsConfig(seed = 0) {
  const keys = ["train_images", "train_labels"];
  const train = await TensorDataLoader.fromNpz(data, { keys, batchSize: 128, shuffle: true, seed });
  return {
    scoreFunc: crossEntropy(train, { maxBatches: 4 }),
    dataLoader: train,
    maxIterDataLoader: 4,
    verbose: false,
    seed,
  };
}

/** Accuracy on images that neither training nor search saw. */
export async function heldOutAccuracy(module) {
  const test = await TensorDataLoader.fromNpz(data, { keys: ["test_images", "test_labels"], batchSize: 250 });
  return topKAccuracy(test)(module);
}

/** Prints the result. */
export async function printResult({ subnet, stateDict }) {
  const { config, score, costs } = stateDict.best;
  console.log(`Widths: ${Object.values(config).join(" ")}`);
  console.log(`Score: ${score.toFixed(4)} (minus the cross-entropy on training images)`);
  console.log(`FLOPs: ${((100 * costs.flops) / stateDict.fullCosts.flops).toFixed(1)} % of the full model's`);
  console.log(`Parameters: ${((100 * costs.params) / stateDict.fullCosts.params).toFixed(1)} %`);
  console.log(`Accuracy on held-out images: ${(100 * (await heldOutAccuracy(subnet))).toFixed(1)} %`);
}
