// Peak memory of a whole process for the same work, ours against PyTorch's: forward loops over the same images, each in
// a new process, in turns. See docs/benchmarks.md.
import { spawnSync } from "node:child_process";

import { root, run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { ranged, ratio, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const CASES = [
  { model: "digits_cnn", batch: 64, images: 256 },
  ...["resnet18", "mobilenet_v2", "vit_b_16"].map((model) => ({ model, batch: 8, images: 16 })),
].filter(({ model }) => options.wanted(model));
const VARIANTS = [
  ["ours", [process.execPath, "bench/workers/memory.mjs"], "module"],
  ["ours, search space", [process.execPath, "bench/workers/memory.mjs"], "space"],
  ["eager", [peerPython, "-W", "ignore", "bench/python/memory.py"], "eager"],
  ["TorchScript", [peerPython, "-W", "ignore", "bench/python/memory.py"], "script"],
  ["frozen", [peerPython, "-W", "ignore", "bench/python/memory.py"], "frozen"],
];
await ensurePeers();
run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...CASES.map(({ model }) => model)], {
  remedy: "See its message above.",
});

const rounds = options.quick ? 1 : Math.min(3, options.rounds);
const results = CASES.map(({ model, batch, images }) => {
  const peaks = Object.fromEntries(VARIANTS.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, [program, ...args], variant] of VARIANTS) {
      const child = spawnSync(program, [...args, model, String(batch), String(images), variant], {
        cwd: root,
        encoding: "utf8",
      });
      if (child.status !== 0) throw new Error(`${model}, ${name}: ${child.stderr.slice(-2000)}`);
      peaks[name].push(JSON.parse(child.stdout.trim().split("\n").at(-1)).peakBytes);
    }
  }
  console.error(`${model}: done`);
  return { model, batch, images, peaks };
});

const label = ({ model, batch }) => `${model}, ${batch}`;
const names = VARIANTS.map(([name]) => name);
const rows = results.map((each) => [
  label(each),
  ...names.map((name) => ranged(summary(each.peaks[name]), 2 ** -20)),
]);
const compared = results.map((each) => [
  label(each),
  ...["eager", "TorchScript", "frozen"].map((name) => ratio(ratios(each.peaks.ours, each.peaks[name]))),
]);
finish("memory", options, {
  text: `Megabytes (2^20 bytes), median (minimum–maximum) of ${rounds} processes:

${table(["model, batch", ...names], rows)}

Ours : theirs; below 1 ours holds less:

${table(["model, batch", "eager", "TorchScript", "frozen"], compared)}`,
  raw: results,
  before,
});
