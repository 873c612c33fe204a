// Images a second of forward loops: one pass after another over the same images with top-1 accuracy, ours against PyTorch's
// ways and ONNX Runtime. Each tool runs in a process of its own, one at a time, in short rounds. All
// outputs are compared first. See docs/benchmarks.md.
import { run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensureOnnxRuntime, ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { median, ratios } from "./lib/stats.mjs";
import { number, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions({ seconds: { type: "string" } });
const SECONDS = Number(options.seconds ?? (options.quick ? 0.05 : 0.5)); // for one tool in one round; at least one pass

const CASES = [
  ...[1, 8, 64].map((batch) => ({ model: "digits_cnn", batch, images: 256 })),
  ...["resnet18", "mobilenet_v2", "vit_b_16"].flatMap((model) =>
    [1, 8].map((batch) => ({ model, batch, images: 8 })),
  ),
].filter(({ model, batch }) => options.wanted(`${model}:${batch}`));

const PYTORCH = ["eager", "script", "frozen"];
const OURS = ["module", "space"];

const before = machine(options);
await ensurePeers();
ensureOnnxRuntime();
const models = [...new Set(CASES.map(({ model }) => model))];
run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...models], { remedy: "See its message above." });

const workers = {
  ours: Worker.ours("workers/torchsearch.mjs"),
  pytorch: Worker.python("worker.py"),
  onnx: Worker.ours("onnxruntime/worker.mjs"),
};
const rows = [];
for (const each of CASES) {
  rows.push(await measure(each));
  const { model, batch, rates } = rows.at(-1);
  const found = Object.entries(rates).map(([name, list]) => `${name} ${number(median(list))}`);
  console.error(`${model} batch ${batch}: images/s ${found.join(", ")}`);
}
for (const worker of Object.values(workers)) await worker.close();

/** Rates by variant, one a round. */
async function measure({ model, batch, images }) {
  const work = { model, batch, images };
  await workers.ours.ask({ op: "load", ...work });
  await workers.pytorch.ask({ op: "load", ...work, variants: PYTORCH });
  await workers.onnx.ask({ op: "load", ...work });
  const variants = [
    ...OURS.map((variant) => ["ours", variant]),
    ...PYTORCH.map((variant) => ["pytorch", variant]),
    ["onnx", "onnx"],
  ];
  const difference = await largestDifference(variants);
  const rates = Object.fromEntries(variants.map(([, variant]) => [variant, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const [worker, variant] of variants) {
      const { imagesPerSecond } = await workers[worker].ask({ op: "run", variant, seconds: SECONDS });
      rates[variant].push(imagesPerSecond);
    }
  }
  return { ...work, difference, rates };
}

/** The error of the first batch's outputs, relative to eager PyTorch's largest. Throws if it is more than rounding. */
async function largestDifference(variants) {
  const outputs = {};
  for (const [worker, variant] of variants)
    outputs[variant] = (await workers[worker].ask({ op: "outputs", variant })).values;
  const scale = Math.max(...outputs.eager.map(Math.abs));
  let largest = 0;
  for (const [name, values] of Object.entries(outputs)) {
    const off = Math.max(...values.map((value, i) => Math.abs(value - outputs.eager[i]))) / scale;
    if (!(off < 1e-3))
      throw new Error(`${name}: outputs differ from eager PyTorch's by ${off} of the largest`);
    largest = Math.max(largest, off);
  }
  return largest;
}

/** The variant of PyTorch with the highest median. */
const bestOf = (rates) => PYTORCH.reduce((a, b) => (median(rates[b]) > median(rates[a]) ? b : a));

const header = [
  "model, batch",
  "ours",
  "ours, search space",
  "eager",
  "TorchScript",
  "frozen",
  "ONNX Runtime",
];
const speeds = rows.map(({ model, batch, rates }) => [
  `${model}, ${batch}`,
  ...[...OURS, ...PYTORCH, "onnx"].map((name) => number(median(rates[name]))),
]);
const compared = rows.map(({ model, batch, rates }) => [
  `${model}, ${batch}`,
  ratio(ratios(rates.module, rates.eager)),
  ratio(ratios(rates.module, rates[bestOf(rates)])),
  bestOf(rates),
  ratio(ratios(rates.space, rates.eager)),
  ratio(ratios(rates.module, rates.onnx)),
]);
const text = `Images a second, median of ${options.rounds} rounds:

${table(header, speeds)}

Ratios within a round, median (minimum–maximum); above 1 ours is faster:

${table(["model, batch", "ours : eager", "ours : best PyTorch", "which is", "space : eager", "ours : ONNX Runtime"], compared)}

Outputs of all differ from eager PyTorch's by at most ${Math.max(...rows.map(({ difference }) => difference)).toExponential(1)} of the largest output.`;
finish("forward", options, { text, raw: rows, before });
