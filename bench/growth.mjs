// How cost grows: seconds and memory of conversion, profiling, evaluation and search by layers, candidates, batch size
// and threads, on synthetic networks, with a fitted power law and plots. See docs/growth.md.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { python } from "../scripts/lib/python.mjs";
import { root, run } from "../scripts/lib/run.mjs";
import { drawGrowth } from "./lib/growth-chart.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { finish, machine } from "./lib/report.mjs";
import { powerLaw } from "./lib/stats.mjs";
import { number, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const pick = (full, quick) => (options.quick ? quick : full);
const LAYERS = pick([9, 17, 33, 65, 129, 257, 513], [9, 33, 65]);
const base = { kind: "chain", layers: 17, batch: 8, candidates: 16, threads: options.threads };
const cores = os.availableParallelism();
/** What varies, along what, and which stages are of interest. */
const SWEEPS = [
  {
    name: "layers (chain)",
    over: "layers",
    values: LAYERS,
    stages: ["load", "profile", "convert", "evaluate", "search"],
  },
  {
    name: "layers (residual)",
    over: "layers",
    values: LAYERS,
    kind: "residual",
    stages: ["load", "profile", "convert", "evaluate", "search"],
  },
  {
    name: "candidates",
    over: "candidates",
    values: pick([8, 16, 32, 64, 128], [4, 8, 16]),
    stages: ["search"],
  },
  {
    name: "batch size",
    over: "batch",
    values: pick([1, 2, 4, 8, 16, 32, 64, 128], [1, 4, 16]),
    stages: ["evaluate"],
  },
  {
    name: "threads",
    over: "threads",
    batch: 64,
    values: Array.from({ length: Math.min(cores, 16) }, (_, i) => i + 1),
    stages: ["evaluate"],
  },
].filter(({ name }) => options.wanted(name));

const models = path.join(scratch, "grown");
const names = SWEEPS.flatMap(({ over, values, kind = base.kind }) =>
  (over === "layers" ? values : [base.layers]).map((layers) => `${kind}:${layers}`),
);
run(python, ["-W", "ignore", "bench/python/grown.py", "--out", models, ...new Set(names)], {
  remedy: "See its message above.",
});

function point({ kind, layers, batch, candidates, threads }) {
  const work = {
    file: path.join(models, `${kind}-${layers}.pt`),
    batch,
    candidates,
    repeats: options.quick ? 1 : 3,
  };
  const child = spawnSync(process.execPath, ["bench/workers/growth.mjs", JSON.stringify(work)], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
  });
  if (child.status !== 0) throw new Error(`${kind}, ${layers} layers: ${child.stderr.slice(-2000)}`);
  return JSON.parse(child.stdout);
}

const results = SWEEPS.map(({ values, stages, name, over, ...fixed }) => {
  const points = values.map((value) => ({ value, ...point({ ...base, ...fixed, [over]: value }) }));
  console.error(`${name}: done`);
  return { name, over, stages, points };
});

/** Seconds, and memory that grew by more than a megabyte throughout; pages and arenas hide smaller growth. */
const laws = results.flatMap(({ name, stages, points }) =>
  stages.flatMap((stage) =>
    ["seconds", "megabytes"].flatMap((unit) => {
      const pairs = points.map((each) => [each.value, each[unit][stage]]);
      const fits = unit === "seconds" || pairs.every(([, y]) => y > 1);
      if (!fits || pairs.length < 3) return [];
      return [{ name, stage, unit, pairs, ...powerLaw(pairs) }];
    }),
  ),
);
const rows = laws.map(({ name, stage, unit, pairs, exponent, r2 }) => [
  `${stage}, ${unit}, by ${name}`,
  `${pairs[0][0]}–${pairs.at(-1)[0]}`,
  number(pairs[0][1]),
  number(pairs.at(-1)[1]),
  exponent.toFixed(2),
  r2.toFixed(3),
]);
const threads = results.find(({ over }) => over === "threads");
const speedups = threads
  ? `\n\nEvaluation with threads, times as fast as with one: ${threads.points
      .map(
        ({ value, seconds }) => `${value}: ${number(threads.points[0].seconds.evaluate / seconds.evaluate)}`,
      )
      .join(", ")}.`
  : "";
const images = "";
if (options.writes) {
  const folder = path.join(root, "docs", "images");
  mkdirSync(folder, { recursive: true });
  for (const [file, svg] of Object.entries(await drawGrowth(laws)))
    writeFileSync(path.join(folder, file), svg);
}
finish("growth", options, {
  page: "growth.md",
  text: `${table(["what, by what", "range", "at its start", "at its end", "exponent", "R²"], rows)}${speedups}${images}`,
  raw: results,
  before,
});
