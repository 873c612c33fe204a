// Regressions are seen: a quick set of ratios to PyTorch in one run, against those of bench/guard.json. Ratios and not
// seconds, so that another machine has the same. Prints what fell by more than its spread; exit code 1 where something
// fell beyond 1.5 x. `--save` stores the ratios of this run instead: on a quiet machine.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { python } from "../scripts/lib/python.mjs";
import { root, run } from "../scripts/lib/run.mjs";
import { compare } from "./lib/guarded.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { machine } from "./lib/report.mjs";
import { ratios } from "./lib/stats.mjs";
import { number, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions({ save: { type: "boolean", default: false } });
const rounds = options.quick ? 2 : Math.min(options.rounds, 7);
const seconds = options.quick ? 0.05 : 0.3;
const CALLS = options.quick ? 500 : 5000;
const stored = path.join(root, "bench", "guard.json");
const before = machine(options);

mkdirSync(scratch, { recursive: true });
const identity = path.join(scratch, "identity.pt");
const inPython = (script, ...args) =>
  run(python, ["-W", "ignore", `bench/python/${script}`, ...args], { remedy: "See its message above." });
inPython("identity.py", identity);
inPython("assets.py", "digits_cnn", "resnet18");

/** Ratios of PyTorch's time to ours, of pairs measured one after the other. */
async function pairs(measure) {
  const [ours, peers] = [[], []];
  for (let round = -1; round < rounds; round++) {
    const [a, b] = await measure();
    if (round < 0) continue; // warms up
    ours.push(a);
    peers.push(b);
  }
  return ratios(peers, ours);
}

const found = {};
const ours = Worker.ours("workers/torchsearch.mjs");
const pytorch = Worker.python("worker.py", python);
for (const [model, batch, images] of [
  ["digits_cnn", 1, 64],
  ["digits_cnn", 64, 256],
  ["resnet18", 1, 4],
]) {
  const work = { model, batch, images };
  await ours.ask({ op: "load", ...work });
  await pytorch.ask({ op: "load", ...work, variants: ["eager"] });
  const eager = async () => 1 / (await pytorch.ask({ op: "run", variant: "eager", seconds })).imagesPerSecond;
  for (const variant of ["module", "space"]) {
    found[`forward, ${model}, batch ${batch}, ${variant} : eager`] = await pairs(async () => [
      1 / (await ours.ask({ op: "run", variant, seconds })).imagesPerSecond,
      await eager(),
    ]);
  }
}
const counted = (op) => ({ op, file: identity, count: CALLS });
for (const op of ["calls", "batches"]) {
  found[`overhead, ${op} : Python`] = await pairs(async () => [
    (await ours.ask(counted(op))).seconds,
    (await pytorch.ask(counted(op))).seconds,
  ]);
}
for (const worker of [ours, pytorch]) await worker.close();

const analysis = Worker.ours("workers/analysis.mjs");
const counters = Worker.python("analysis.py", python);
for (const worker of [analysis, counters]) await worker.ask({ op: "load", model: "resnet18" });
// Both against the counter that does the same forward on the CPU.
for (const op of ["profile", "convert"]) {
  found[`${op}, resnet18 : FlopCounterMode`] = await pairs(async () => [
    (await analysis.ask({ op })).seconds,
    (await counters.ask({ op: "flopCounter" })).seconds,
  ]);
}
for (const worker of [analysis, counters]) await worker.close();

if (options.save) {
  const rounded = Object.fromEntries(
    Object.entries(found).map(([name, { min, median, max }]) => [
      name,
      Object.fromEntries(
        Object.entries({ min, median, max }).map(([key, value]) => [key, Number(value.toPrecision(3))]),
      ),
    ]),
  );
  writeFileSync(stored, `${JSON.stringify({ measured: before, ratios: rounded }, null, 2)}\n`);
  console.log(`Stored ${Object.keys(found).length} ratios in bench/guard.json.`);
} else {
  const rows = compare(JSON.parse(readFileSync(stored, "utf8")).ratios, found);
  const cell = (value) => (value === undefined ? "–" : ratio(value));
  console.log(
    table(
      ["PyTorch's time : ours (above 1 ours is faster)", "stored", "now", "fell", ""],
      rows.map(({ name, before, now, fell, verdict }) => [
        name,
        cell(before),
        cell(now),
        fell === undefined ? "–" : `${number(fell)} x`,
        verdict,
      ]),
    ),
  );
  console.log(`\nMeasured on ${before}`);
  const failed = rows.filter(({ verdict }) => verdict === "failed" || verdict === "missing");
  if (failed.length > 0) {
    console.log(`Fell beyond 1.5 x and its spread: ${failed.map(({ name }) => name).join("; ")}.`);
    process.exitCode = 1;
  }
}
