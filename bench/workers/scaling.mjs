// One rank of bench/scaling.mjs. Prints seconds, and on one process those of each candidate.
import path from "node:path";

import {
  convert,
  crossEntropy,
  EvolveSearcher,
  finetune,
  joinGroup,
  Module,
  RandomSearcher,
  Tensor,
  TensorDataLoader,
} from "torchsearch";
import { BinarySearcher } from "torchsearch/search";

import { root } from "../../scripts/lib/run.mjs";

const { kind, candidates, batches, shards } = JSON.parse(process.argv[2]);
const fixtures = path.join(root, "test", "fixtures");
const group = process.env.WORLD_SIZE === "1" ? null : await joinGroup({ timeout: 120 });
const load = (part, batchSize) =>
  TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: [`${part}_images`, `${part}_labels`],
    batchSize,
  });
const module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
const print = (result) => {
  if (group === null || group.rank === 0) process.stdout.write(JSON.stringify(result));
};

if (kind === "training") {
  const data = await load("train", 64);
  const options = { group, dataShards: shards, shuffle: false };
  await finetune(module, data, { ...options, steps: 1 });
  const start = performance.now();
  await finetune(module, data, { ...options, steps: candidates });
  const seconds = (performance.now() - start) / 1000;
  const bytes =
    4 *
    module.namedParameters().reduce((sum, { tensor }) => sum + tensor.shape.reduce((a, b) => a * b, 1), 0);
  print({ seconds, steps: candidates, bytes });
} else {
  const dummy = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  const space = await convert(module, "fastnas", dummy);
  const rate = crossEntropy(await load("train", 16), { maxBatches: batches });
  const costs = [];
  let fixed = 0;
  let last = null;
  const scoreFunc = async (model, context) => {
    const begin = performance.now();
    const score = await rate(model, context);
    const now = performance.now();
    costs.push((now - (last ?? begin)) / 1000);
    if (last !== null) fixed += (begin - last) / 1000;
    last = now;
    return score;
  };
  const [Searcher, own] = {
    random: [RandomSearcher, { numIters: candidates }],
    evolve: [EvolveSearcher, { numIters: candidates, populationSize: 16, candidateSize: 4 }],
    sweep: [BinarySearcher, { maxChoices: null }],
  }[kind];
  const config = {
    scoreFunc,
    dataLoader: await load("train", 64),
    maxIterDataLoader: 2,
    verbose: false,
    seed: 1,
    group,
  };
  const start = performance.now();
  await new Searcher().search(space, { flops: "60%" }, dummy, { ...config, ...own });
  print({ seconds: (performance.now() - start) / 1000, costs, fixed: fixed / Math.max(1, costs.length - 1) });
}
await group?.leave();
