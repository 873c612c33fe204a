// The trained digits models of test/fixtures and their data, for benchmarks.
import path from "node:path";

import { Module, Tensor, TensorDataLoader, topKAccuracy } from "torchsearch";

import { root } from "../../scripts/lib/run.mjs";

const fixtures = path.join(root, "test", "fixtures");

/** One image of zeros, [1, 1, 8, 8]. */
export const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** The models whose widths are searched, with divisors that leave many choices. */
export const WIDTH_MODELS = [
  { model: "digits_resnet", channelDivisor: 8 },
  { model: "digits_vit", channelDivisor: 4 },
];

export const loadModel = (model) => Module.load(path.join(fixtures, `${model}.pt`));

const open = (part, options) =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: [`${part}_images`, `${part}_labels`],
    ...options,
  });

/** The training images, in an order given by the seed. */
export const trainLoader = (batchSize, seed = 0) => open("train", { batchSize, shuffle: true, seed });

/** The 500 images that are used neither to train nor to rate. */
export const heldOutLoader = () => open("test", { batchSize: 250 });

/** Accuracy on them, as a score function. */
export const heldOutAccuracy = async () => topKAccuracy(await heldOutLoader());
