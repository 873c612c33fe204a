// From a trained model to a small one as good: half of the FLOPs of a digits classifier, in one step. Give a file of
// your own as the first argument for a model with the same inputs.
import path from "node:path";
import { compress, Module, Tensor, TensorDataLoader } from "torchsearch";

const fixtures = path.join(import.meta.dirname, "..", "test", "fixtures");
const module = await Module.load(process.argv[2] ?? path.join(fixtures, "digits_cnn.pt"));
const file = path.join(fixtures, "digits.npz");
const open = (part) =>
  TensorDataLoader.fromNpz(file, {
    keys: [`${part}_images`, `${part}_labels`],
    batchSize: 125,
    shuffle: true,
  });

const result = await compress(module, {
  data: await open("train"),
  holdout: await open("test"), // nothing learns from these
  dummyInput: Tensor.from(new Float32Array(64), [1, 1, 8, 8]),
  loss: "crossEntropy",
  target: { flops: "60%" },
  steps: 1,
  epochs: 1,
  searchBatches: 1,
  searcherConfig: { maxChoices: 1 },
  convert: { channelDivisor: 16, exclude: ["depth"] },
  output: "small.pt",
  onStep: (line) => console.error(line),
});
const percent = (value) => `${(100 * value).toFixed(1)} %`;
console.log(`Accuracy: ${percent(result.score)}, of ${percent(result.fullScore)}`);
console.log(`FLOPs: ${percent(result.costs.flops / result.fullCosts.flops)}`);
