// What kept activations save in a sensitivity sweep: `BinarySearcher`'s sweep with and without them, one after
// the other in one process, on the same data. Prints a table; every score must be the same.
//
//   OMP_NUM_THREADS=1 node bench/reuse.mjs [--zoo FOLDER] [--choices 2] [--batch 4]
//
// FOLDER holds TorchScript files resnet18.s.pt and mobilenet_v2.s.pt, as `scripts/fixtures/architectures.py` writes them;
// without it, only the digits ResNet is measured.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BinarySearcher, convert, crossEntropy, Module, Random, Tensor, TensorDataLoader } from "torchsearch";

const { values: options } = parseArgs({
  options: {
    zoo: { type: "string" },
    choices: { type: "string", default: "2" },
    batch: { type: "string", default: "4" },
  },
});
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const choices = Number(options.choices);

async function digits() {
  const file = path.join(root, "test", "fixtures", "digits.npz");
  const scored = await TensorDataLoader.fromNpz(file, {
    keys: ["train_images", "train_labels"],
    batchSize: 64,
  });
  const calibration = await TensorDataLoader.fromNpz(file, { keys: ["train_images"], batchSize: 64 });
  return {
    model: path.join(root, "test", "fixtures", "digits_resnet.pt"),
    shape: [1, 1, 8, 8],
    scoreFunc: crossEntropy(scored, { maxBatches: 8 }),
    dataLoader: calibration,
    maxIterDataLoader: 8,
  };
}

/** Images of noise: the time of a network doesn't depend on its input. */
function noise(name, classes) {
  const random = new Random(0);
  const batch = Number(options.batch);
  const images = Tensor.from(
    Float32Array.from({ length: batch * 3 * 224 * 224 }, () => random.float() - 0.5),
    [batch, 3, 224, 224],
  );
  const labels = Tensor.from(
    BigInt64Array.from({ length: batch }, () => BigInt(random.integer(classes))),
    [batch],
  );
  return {
    model: path.join(options.zoo, `${name}.s.pt`),
    shape: [1, 3, 224, 224],
    scoreFunc: crossEntropy(TensorDataLoader.fromTensors([images, labels], { batchSize: batch })),
    dataLoader: TensorDataLoader.fromTensors([images], { batchSize: batch }),
    maxIterDataLoader: null,
  };
}

/** One sweep: its seconds, its scores and what it saved. */
async function sweep({ model, shape, ...config }, activationCache) {
  const module = await Module.load(model);
  const input = Tensor.from(new Float32Array(shape.reduce((a, b) => a * b)), shape);
  const space = await convert(module, "fastnas", input);
  const searcher = new BinarySearcher();
  let from = 0;
  let to = 0;
  let candidates = 0;
  const onProgress = ({ phase }) => {
    if (phase !== "sensitivity") return;
    to = performance.now();
    candidates += 1;
  };
  const scoreFunc = async (...args) => {
    const value = await config.scoreFunc(...args);
    if (candidates === 0) from ||= performance.now();
    return value;
  };
  const { stateDict } = await searcher.search(space, { flops: "60%" }, input, {
    ...config,
    scoreFunc,
    onProgress,
    maxChoices: choices,
    verbose: false,
    activationCache,
  });
  const reuse = space.reuse;
  const full = space.cost(space.fullConfig, "macs");
  space.close();
  module.close();
  return {
    seconds: (to - from) / 1000,
    candidates,
    scores: JSON.stringify(stateDict.sensitivity),
    reuse,
    full,
  };
}

const models = { "digits ResNet": await digits() };
for (const name of ["resnet18", "mobilenet_v2"]) {
  if (options.zoo && existsSync(path.join(options.zoo, `${name}.s.pt`))) models[name] = noise(name, 1000);
}
console.log(
  "| model | candidates | seconds without | with | times faster | multiply-adds run | operators run | most held, MB |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const [name, setting] of Object.entries(models)) {
  const without = await sweep(setting, false);
  const kept = await sweep(setting, null);
  if (kept.scores !== without.scores) throw new Error(`${name}: scores differ`);
  const { reuse } = kept;
  const share = (run, skipped) => `${((100 * run) / (run + skipped)).toFixed(0)} %`;
  console.log(
    `| ${[
      name,
      kept.candidates,
      without.seconds.toFixed(1),
      kept.seconds.toFixed(1),
      (without.seconds / kept.seconds).toFixed(2),
      share(reuse.macsRun, reuse.macsSkipped),
      share(reuse.instructionsRun, reuse.instructionsSkipped),
      (reuse.peak / 1e6).toFixed(1),
    ].join(" | ")} |`,
  );
}
