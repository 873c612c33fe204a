// torchsearch's side of the whole search, with the same options, data and score as bench/python/modelopt_fastnas.py.
// Prints one JSON line. The measured time covers the work of mtp.prune: conversion, search and export. `--searcher
// gradient` uses gradients on the calibration data instead of measuring widths.
import path from "node:path";
import { parseArgs } from "node:util";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  GradientSearcher,
  Module,
  profile,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

import { peakMemory } from "../lib/memory.mjs";
import { scratch } from "../lib/page.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "digits_resnet" },
    constraint: { type: "string", default: "flops=60%" },
    divisor: { type: "string", default: "32" },
    threads: { type: "string" }, // set by OMP_NUM_THREADS
    batch: { type: "string", default: "64" },
    score: { type: "string", default: "accuracy" },
    "score-samples": { type: "string", default: "500" },
    "calibration-samples": { type: "string", default: "320" },
    searcher: { type: "string", default: "binary" },
    "max-choices": { type: "string" }, // of the binary searcher; "all" for all
  },
});
const batchSize = Number(values.batch);
const [metric, bound] = values.constraint.split("=");
const file = path.join(scratch, `${values.model}.digits.npz`);

/** The first `samples` of the training or test data. */
async function loaderOf(part, samples) {
  const keys = [`${part}_images`, `${part}_labels`];
  const [whole] = await TensorDataLoader.fromNpz(file, { keys, batchSize: 1e6 });
  const cut = keys.map((key) => {
    const tensor = whole[key];
    const count = Math.min(samples, tensor.shape[0]);
    const data = tensor.data();
    return Tensor.from(data.slice(0, (data.length / tensor.shape[0]) * count), [
      count,
      ...tensor.shape.slice(1),
    ]);
  });
  return TensorDataLoader.fromTensors(cut, { batchSize });
}

const scoreData = await loaderOf("train", Number(values["score-samples"]));
const calibration = await loaderOf("train", Number(values["calibration-samples"]));
const heldOut = topKAccuracy(await loaderOf("test", 1e6));
const measure = { accuracy: topKAccuracy, crossEntropy }[values.score](scoreData);
let evaluations = 0;
const score = (...args) => {
  evaluations += 1;
  return measure(...args);
};

const [first] = scoreData;
const shape = [1, ...first[0].shape.slice(1)];
const example = Tensor.from(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);
const module = await Module.load(path.join(scratch, `${values.model}.pt`));
const before = { score: await measure(module), heldOut: await heldOut(module) };

const start = performance.now();
const space = await convert(module, "fastnas", example, {
  channelDivisor: Number(values.divisor),
  depth: false,
});
const converted = performance.now();
const Searcher = { binary: BinarySearcher, gradient: GradientSearcher }[values.searcher];
const limit = values["max-choices"];
const { subnet, stateDict } = await new Searcher().search(
  space,
  { [metric]: bound.endsWith("%") ? bound : Number(bound) },
  example,
  {
    scoreFunc: score,
    dataLoader: calibration,
    verbose: false,
    ...(limit === undefined ? {} : { maxChoices: limit === "all" ? null : Number(limit) }),
  },
);
const end = performance.now();

const { flops, params } = await profile(subnet, example, { metrics: ["flops"] });
console.log(
  JSON.stringify({
    tool: "torchsearch",
    model: values.model,
    constraint: values.constraint,
    seconds: (end - start) / 1000,
    convertSeconds: (converted - start) / 1000,
    evaluations,
    hyperparameters: space.hyperparameters.length,
    choices: space.hyperparameters.reduce((sum, { choices }) => sum + choices.length, 0),
    scoreBefore: before.score,
    scoreAfter: await measure(subnet),
    heldOutBefore: before.heldOut,
    heldOutAfter: await heldOut(subnet),
    flopsBefore: stateDict.fullCosts.flops,
    flopsAfter: flops,
    paramsBefore: stateDict.fullCosts.params,
    paramsAfter: params,
    peakMemoryMB: peakMemory() / 2 ** 20,
  }),
);
