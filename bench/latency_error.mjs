// How far latencies from a table are from measured whole subnets, how long the table takes, and queries a second.
//
//   node bench/latency_error.mjs [--model .zoo/resnet50.scripted.pt] [--input 1x3x224x224] [--samples 10] [--points 4]
//     [--repeats 12] [--threads 1]
//
// The samples are random subnets that had no part in the table; they are timed after it, in the same process.
import { parseArgs } from "node:util";

import { convert, Module, Random, Tensor } from "torchsearch";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: ".zoo/resnet50.scripted.pt" },
    input: { type: "string", default: "1x3x224x224" },
    samples: { type: "string", default: "10" },
    points: { type: "string", default: "4" },
    repeats: { type: "string", default: "12" },
    threads: { type: "string", default: "1" },
  },
});
const [samples, points, repeats, threads] = ["samples", "points", "repeats", "threads"].map((name) =>
  Number(values[name]),
);
const shape = values.input.split("x").map(Number);
const elements = shape.reduce((product, size) => product * size, 1);
const module = await Module.load(values.model);
const space = await convert(module, "fastnas", Tensor.from(new Float32Array(elements), shape));

const start = performance.now();
let subnets = 0;
const onProgress = ({ total }) => {
  subnets = total / Math.min(3, repeats);
};
const table = await space.measureLatency({ points, repeats, threads, onProgress });
const seconds = (performance.now() - start) / 1000;
space.useLatencyTable(table);
const { conditions, entries, size } = table;
console.log(`${values.model}: ${space.hyperparameters.length} hyperparameters, ${values.input}`);
console.log(`${conditions.hardware}, ${threads} threads, LibTorch ${conditions.torch}`);
console.log(
  `table: ${entries.length} operators, ${size} points, from ${subnets} subnets in ${seconds.toFixed(1)} s`,
);

const error = await space.latencyError({ samples, repeats });
const percent = (share) => `${(100 * share).toFixed(1)} %`;
for (const { predicted, measured } of error.samples) {
  const off = percent((predicted - measured) / measured);
  console.log(`  predicted ${predicted.toFixed(3)} ms, measured ${measured.toFixed(3)} ms (${off})`);
}
console.log(`error: median ${percent(error.median)}, largest ${percent(error.max)}`);
console.log(
  `scaled by ${error.scale.toFixed(3)}: median ${percent(error.scaledMedian)}, largest ${percent(error.scaledMax)}`,
);

const rng = new Random(1);
const configs = Array.from({ length: 1024 }, () => space.sample(rng));
const rates = [];
for (let round = 0; round < 9; round++) {
  const begin = performance.now();
  let queries = 0;
  for (; performance.now() - begin < 300; queries += configs.length)
    for (const config of configs) space.cost(config, "latency");
  rates.push((queries / (performance.now() - begin)) * 1000);
}
rates.sort((a, b) => a - b);
const text = rates.map((rate) => Math.round(rate).toLocaleString("en-US"));
console.log(`cost(config, "latency") / s: minimum ${text[0]}, median ${text[4]}, maximum ${text[8]}`);
module.close();
