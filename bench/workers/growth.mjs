// One point of bench/growth.mjs, in a process of its own: node growth.mjs '{"file": …, "batch": 8, "candidates": 20}'.
// Prints the seconds of each stage, and the megabytes by which the process's peak rose.
import {
  convert,
  Module,
  meanSquaredError,
  profile,
  RandomSearcher,
  Tensor,
  TensorDataLoader,
} from "torchsearch";
import { peakMemory } from "../lib/memory.mjs";

const { file, batch, candidates, repeats } = JSON.parse(process.argv[2]);
const zeros = (...shape) =>
  Tensor.from(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);
const example = zeros(1, 1, 16, 16);
const loader = TensorDataLoader.fromTensors([zeros(batch, 1, 16, 16), zeros(batch, 10)], {
  batchSize: batch,
});
const score = meanSquaredError(loader);
const result = { seconds: {}, megabytes: {} };

/** Records the fastest of some calls, each on what `prepare` gives, and how far the peak of memory rose in them. */
async function stage(name, body, { prepare = () => undefined, times = repeats } = {}) {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  let value;
  for (let i = 0; i < times; i++) {
    const input = await prepare();
    const before = peakMemory();
    const start = performance.now();
    value = await body(input);
    least = Math.min(least, (performance.now() - start) / 1000);
    most = Math.max(most, peakMemory() - before);
  }
  result.seconds[name] = least;
  result.megabytes[name] = most / 2 ** 20;
  return value;
}

// LibTorch and its kernels are there before anything is measured.
const warm = await Module.load(file);
await warm.forward(example);
warm.close();

const module = await stage("load", () => Module.load(file));
await stage("profile", () => profile(module, example, { metrics: ["flops"] }));
// A module whose channels are ordered already would convert faster.
const prepare = () => Module.load(file);
const space = await stage("convert", (fresh) => convert(fresh, "fastnas", example), { prepare });
await score(space);
await stage("evaluate", () => score(space));
await stage(
  "search",
  () =>
    new RandomSearcher().search(space, { flops: "60%" }, example, {
      scoreFunc: score,
      numIters: candidates,
      verbose: false,
      seed: 0,
    }),
  { times: 1 },
);
console.log(JSON.stringify(result));
