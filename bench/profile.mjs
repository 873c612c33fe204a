// profile() against PyTorch's FlopCounterMode and fvcore, and convert() against Torch-Pruning's dependency graph, in turns.
// PyTorch's counters and Torch-Pruning run on the eager model, ours on the same one scripted. See docs/benchmarks.md.
import { run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { number, ranged, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions();
const MODELS = ["resnet18", "mobilenet_v2", "densenet121", "vit_b_16"].filter(options.wanted);

const before = machine(options);
await ensurePeers();
run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...MODELS], { remedy: "See its message above." });

const workers = { ours: Worker.ours("workers/analysis.mjs"), peers: Worker.python("analysis.py") };
/** Each task and the tool that runs it; `profile` and `convert` are ours. */
const TASKS = [
  ["ours", "profile"],
  ["peers", "flopCounter"],
  ["peers", "flopCounterMeta"],
  ["peers", "fvcore"],
  ["ours", "convert"],
  ["peers", "torchPruning"],
];
const results = [];
for (const model of MODELS) {
  for (const worker of Object.values(workers)) await worker.ask({ op: "load", model });
  const found = { model, times: Object.fromEntries(TASKS.map(([, task]) => [task, []])), macs: {} };
  for (let round = -1; round < options.rounds; round++) {
    for (const [worker, task] of TASKS) {
      const { seconds, macs } = await workers[worker].ask({ op: task });
      if (round >= 0) found.times[task].push(seconds); // the first round warms up
      if (macs !== undefined) found.macs[task] = macs;
    }
  }
  if (found.macs.profile !== found.macs.flopCounterMeta)
    throw new Error(
      `${model}: ${found.macs.profile} multiply-adds, but FlopCounterMode counts ${found.macs.flopCounterMeta}`,
    );
  results.push(found);
  console.error(`${model}: done`);
}
for (const worker of Object.values(workers)) await worker.close();

const ms = (list) => ranged(summary(list), 1000);
const times = table(
  [
    "model",
    "`profile`",
    "FlopCounterMode",
    "the same on meta",
    "fvcore",
    "`convert`",
    "Torch-Pruning's graph",
  ],
  results.map(({ model, times }) => [model, ...TASKS.map(([, task]) => ms(times[task]))]),
);
const compared = table(
  [
    "model",
    "FlopCounterMode : `profile`",
    "on meta : `profile`",
    "fvcore : `profile`",
    "Torch-Pruning : `convert`",
  ],
  results.map(({ model, times }) => [
    model,
    ...["flopCounter", "flopCounterMeta", "fvcore"].map((peer) => ratio(ratios(times[peer], times.profile))),
    ratio(ratios(times.torchPruning, times.convert)),
  ]),
);
const macs = table(
  ["model", "`profile`", "FlopCounterMode", "the same on meta", "fvcore"],
  results.map(({ model, macs }) => [
    model,
    ...["profile", "flopCounter", "flopCounterMeta", "fvcore"].map((key) => number(macs[key])),
  ]),
);
finish("profile", options, {
  text: `Milliseconds, median (minimum–maximum) of ${options.rounds} rounds:\n\n${times}\n\nRatios within a round; above 1 ours is faster:\n\n${compared}\n\nMultiply-adds that each finds:\n\n${macs}`,
  raw: results,
  before,
});
