// What recalibrating batch norms, ranking channels and measuring latencies cost, in passes over their data: the same loader,
// batches and thread, in turns. One pass is `module.forward` (TorchScript as it is, in evaluation mode) on each batch;
// for gradients it is PyTorch's forward and backward. See docs/benchmarks.md.
import { run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { number, ranged, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions();
const before = machine(options);

/** `repeats` of each subnet of a latency table; 12 by default. */
const CASES = [
  { model: "digits_resnet", batch: 64, images: 1024, repeats: 12 },
  { model: "resnet18", batch: 8, images: 24, repeats: 3 },
  { model: "mobilenet_v2", batch: 8, images: 32, repeats: 3 },
].filter(({ model }) => options.wanted(model));

const TASKS = [
  "forward",
  "prepared",
  "halfForward",
  "recalibrate",
  "halfRecalibrate",
  "activation",
  "firstActivation",
  "weights",
  "taylor",
];

await ensurePeers();
run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...CASES.map(({ model }) => model)], {
  remedy: "See its message above.",
});
const ours = Worker.ours("workers/pass_costs.mjs");
const pytorch = Worker.python("worker.py");
const rows = [];
for (const each of CASES) {
  rows.push(await measure(each));
  const { model, seconds } = rows.at(-1);
  const found = Object.entries(seconds).map(
    ([name, list]) => `${name} ${number(1000 * summary(list).median)}`,
  );
  console.error(`${model}: milliseconds ${found.join(", ")}`);
}
for (const worker of [ours, pytorch]) await worker.close();

/** Seconds by task, one a round. */
async function measure({ model, batch, images, repeats }) {
  const { normalized } = await ours.ask({ op: "load", model, batch, images });
  await pytorch.ask({ op: "load", model, batch, images, variants: ["eager"] });
  const tasks = TASKS.filter((task) => normalized || !/recalibrate/i.test(task));
  const seconds = Object.fromEntries([...tasks, "backward"].map((task) => [task, []]));
  const latency = { table: [], forwards: [] };
  let size = null;
  // The first round also records programs, folds weights and compiles kernels, which later rounds reuse.
  for (let round = -1; round < options.rounds; round++) {
    const keep = (list, value) => round >= 0 && list.push(value);
    for (const task of tasks) keep(seconds[task], (await ours.ask({ op: task })).seconds);
    keep(seconds.backward, (await pytorch.ask({ op: "backward", variant: "eager" })).seconds);
    if (repeats === 0 || round < 0) continue;
    const { seconds: took, ...made } = await ours.ask({ op: "table", warmup: 2, repeats });
    size = made;
    // As many forwards of the full model as there were of subnets; if they are many, a part of them, scaled up.
    const count = Math.min(made.forwards, 50);
    const forwards = (await ours.ask({ op: "examples", count })).seconds * (made.forwards / count);
    latency.table.push(took);
    latency.forwards.push(forwards);
  }
  return { model, batch, images, repeats, normalized, seconds, latency, size };
}

const over = (a, b) => (a === undefined ? "–" : ratio(ratios(a, b)));
const passes = rows.map(({ model, batch, images, seconds }) => [
  `${model}, ${images} images by ${batch}`,
  ranged(summary(seconds.forward), 1000),
  over(seconds.recalibrate, seconds.forward),
  over(seconds.halfRecalibrate, seconds.halfForward),
  over(seconds.activation, seconds.forward),
  over(seconds.taylor, seconds.backward),
  over(seconds.taylor, seconds.forward),
  over(seconds.prepared, seconds.forward),
]);
const plain = rows.map(({ model, batch, images, seconds }) => [
  model,
  over(seconds.recalibrate, seconds.prepared),
  over(seconds.activation, seconds.prepared),
  over(
    seconds.firstActivation,
    seconds.forward.map((each) => (each * batch) / images),
  ),
  over(seconds.weights, seconds.forward),
]);
const tables = rows
  .filter(({ size }) => size !== null)
  .map(({ model, repeats, latency, size }) => [
    model,
    size.subnets,
    repeats,
    size.forwards,
    ranged(summary(latency.table)),
    over(latency.table, latency.forwards),
  ]);
const text = `One pass is \`module.forward\` on each batch. Columns are ratios to that pass, or to what their heading names, within a round: the median (minimum–maximum) of ${options.rounds} rounds. Below 1 the task costs less than the pass:

${table(
  [
    "model, data",
    "one pass, ms",
    "`recalibrate`",
    "of a subnet : its pass",
    "`activation`",
    "`taylor` : PyTorch's forward and backward",
    "`taylor`",
    "a prepared pass with a score",
  ],
  passes,
)}

Ratios to a prepared pass with a score. \`l1\`, which reads weights only, is compared with a pass of \`module.forward\`:

${table(["model", "`recalibrate` : prepared", "`activation` : prepared", "`activation` on one batch : a batch", "`l1`"], plain)}

A latency table, compared with as many forwards of the full model on the dummy input:

${table(["model", "subnets", "repeats", "forwards", "seconds", "table : forwards"], tables)}`;
finish("pass-costs", options, { text, raw: rows, before });
