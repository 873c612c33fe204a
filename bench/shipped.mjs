// Networks that packages ship, compressed without labels: one command's worth of search, reconstruction and training
// from the full model, judged on held-out data. Prints rows of docs/results.md:
// `OMP_NUM_THREADS=1 node bench/shipped.mjs torchcrepe --seeds 3`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { compress, Module, setThreads, TensorDataLoader } from "torchsearch";

import { root } from "../scripts/lib/run.mjs";
import { openArrays } from "./lib/arrays.mjs";
import { scratch } from "./lib/page.mjs";
import { SHIPPED } from "./lib/shipped.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "3" },
    first: { type: "string", default: "0" },
    target: { type: "string" },
    python: { type: "string", default: path.join(root, ".torch", "bin", "python3") },
    options: { type: "string", default: "{}" },
  },
});
setThreads(1);
for (const name of positionals) await network(name, SHIPPED[name]);

async function network(name, { keys, target, options, judge }) {
  const folder = path.join(scratch, "shipped", name);
  const count = Number(values.seeds);
  const first = Number(values.first);
  if (!existsSync(path.join(folder, `train-${first + count - 1}.npz`))) make(name, folder, first + count);
  const test = await openArrays(path.join(folder, "test.npz"));
  const out = path.join(folder, "out");
  mkdirSync(out, { recursive: true });
  const full = await Module.load(path.join(folder, "model.pt"));
  console.log(name, "whole", await judge(full, test, full));
  for (let seed = first; seed < first + count; seed++) {
    const begun = performance.now();
    const data = await TensorDataLoader.fromNpz(path.join(folder, `train-${seed}.npz`), {
      keys,
      batchSize: 32,
      shuffle: true,
      seed,
    });
    const example = keys.map((key) => test.sample(key));
    const extra = JSON.parse(values.options);
    const result = await compress(full, {
      data,
      dummyInput: example.length === 1 ? example[0] : example,
      target: { flops: values.target ?? target },
      seed,
      output: path.join(out, `small-${seed}.pt`),
      onStep: (line) => console.error(line),
      heal: 0.9,
      ...options,
      ...extra,
    });
    const small = await Module.load(result.output);
    const share = (metric) => `${((100 * result.costs[metric]) / result.fullCosts[metric]).toFixed(1)} %`;
    for (const { step, seconds } of result.steps) console.error(step, seconds.toFixed(0), "s");
    console.log(
      name,
      seed,
      share("flops"),
      share("params"),
      await judge(small, test, full),
      result.score.toFixed(4),
      `${((performance.now() - begun) / 1000).toFixed(0)} s`,
    );
    small.close();
  }
}

function make(name, folder, seeds) {
  const args = ["-W", "ignore", "-m", "shipped", name, folder, "--seeds", String(seeds)];
  const done = spawnSync(values.python, args, { cwd: path.join(root, "bench", "python"), stdio: "inherit" });
  if (done.status !== 0) process.exit(1);
}
