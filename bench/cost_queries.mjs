// Queries a second of SearchSpace.cost() on one thread, through the public API: a config (a record of widths by name)
// in, a number out. Random configs, all of them made before the clock starts.
//
//   node bench/cost_queries.mjs [--model .zoo/resnet50.scripted.pt] [--input 1x3x224x224] [--rounds 9] [--seconds 0.5]
//
// The model is made by `.torch/bin/python scripts/fixtures/architectures.py --out .zoo resnet50:scripted`. Prints the
// minimum, median and maximum over the rounds, which alternate between metrics so that a disturbance of the machine
// affects all, and the median rate per second of processor time, which a busy machine distorts less.
import { parseArgs } from "node:util";

import { convert, Module, Random, Tensor } from "torchsearch";
import { SPACE_METRICS } from "torchsearch/space";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: ".zoo/resnet50.scripted.pt" },
    input: { type: "string", default: "1x3x224x224" },
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "0.5" },
  },
});
const CONFIGS = 1024;
const shape = values.input.split("x").map(Number);
const elements = shape.reduce((product, size) => product * size, 1);

const module = await Module.load(values.model);
const space = await convert(module, "fastnas", Tensor.from(new Float32Array(elements), shape));
const rng = new Random(0);
const configs = Array.from({ length: CONFIGS }, () => space.sample(rng));

/** Queries a second, over about `seconds`. */
function rate(query, seconds) {
  let queries = 0;
  const before = process.cpuUsage();
  const start = performance.now();
  let now = start;
  while (now - start < seconds * 1000) {
    for (const config of configs) query(config);
    queries += CONFIGS;
    now = performance.now();
  }
  const { user, system } = process.cpuUsage(before);
  return { wall: (queries / (now - start)) * 1000, cpu: (queries / (user + system)) * 1e6 };
}

const queries = Object.fromEntries(
  SPACE_METRICS.map((metric) => [metric, (config) => space.cost(config, metric)]),
);
const rates = Object.fromEntries(Object.keys(queries).map((name) => [name, []]));
for (const query of Object.values(queries)) rate(query, 0.1); // the compiler's warm-up
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, query] of Object.entries(queries)) rates[name].push(rate(query, Number(values.seconds)));
}
console.log(`${values.model}: ${space.hyperparameters.length} hyperparameters`);
const text = (value) => Math.round(value).toLocaleString("en-US").padStart(11);
const titles = ["minimum", "median", "maximum", "per CPU s"].map((title) => title.padStart(11));
console.log(`${"cost(config, …) / s".padEnd(22)}${titles.join("")}`);
for (const [name, measured] of Object.entries(rates)) {
  const ascending = (kind) => measured.map((rate) => rate[kind]).sort((a, b) => a - b);
  const [wall, cpu] = [ascending("wall"), ascending("cpu")];
  const middle = wall.length >> 1;
  console.log(`${name.padEnd(22)}${[wall[0], wall[middle], wall.at(-1), cpu[middle]].map(text).join("")}`);
}
module.close();
