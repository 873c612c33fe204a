// Compares the searchers on the digits ResNet at 60 % FLOPs, without fine-tuning. Writes the table into
// docs/results.md.
//
//   OMP_NUM_THREADS=1 node bench/searchers.mjs [--seeds 3] [--more 1] [--candidates 300] [--rows FILE] [--dry]
//
// All see the same 512 training images, picked by the seed, which rate a candidate (cross-entropy) and recalibrate its
// batch norms. Each gets as many measurements as the binary search takes. With `--more 5`, searchers that can use more
// get a second row with 5 times as many. `--candidates 300` writes the table of searchers with that many candidates
// instead. `--rows` keeps measurements in a file, so an interrupted run continues;
// `--dry` only prints the table.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import {
  BinarySearcher,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  ParetoSearcher,
  RandomSearcher,
} from "torchsearch";
import { CmaEsSearcher, TpeSearcher } from "torchsearch/search";

import { digitsConfig, digitsSpace, example, heldOutAccuracy } from "../examples/searchers/digits-space.mjs";
import { writeSection } from "./lib/page.mjs";

const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    more: { type: "string", default: "1" },
    candidates: { type: "string" },
    rows: { type: "string" },
    dry: { type: "boolean", default: false },
  },
});
const seeds = Array.from({ length: Number(options.seeds) }, (_, seed) => seed);
const BOUND = "60%";

const known = new Map(
  options.rows && existsSync(options.rows)
    ? readFileSync(options.rows, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
    : [],
);

/** One search, and its row of the table. */
async function measure(Searcher, seed, config) {
  const key = JSON.stringify([Searcher.name, seed, config]);
  const row = known.get(key) ?? (await searched(Searcher, seed, config));
  console.error(`${key}: ${JSON.stringify(row)}`);
  if (options.rows && !known.has(key)) appendFileSync(options.rows, `${JSON.stringify([key, row])}\n`);
  return row;
}

async function searched(Searcher, seed, config) {
  const space = await digitsSpace();
  const base = await digitsConfig(seed);
  let evaluations = 0;
  const scoreFunc = (...args) => {
    evaluations += 1;
    return base.scoreFunc(...args);
  };
  const start = process.cpuUsage();
  const { subnet, stateDict } = await new Searcher().search(space, { flops: BOUND }, example, {
    ...base,
    scoreFunc,
    ...config,
  });
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  const { score, costs, config: widths } = stateDict.best;
  const row = {
    accuracy: await heldOutAccuracy(subnet),
    score,
    flops: costs.flops / stateDict.fullCosts.flops,
    params: costs.params / stateDict.fullCosts.params,
    evaluations,
    seconds,
    widths: Object.values(widths).join(" "),
    // For searchers that measure sensitivities: the sum over their choice, before anything is scored.
    harm: harmOf(stateDict),
    gap: stateDict.milp?.gap,
  };
  subnet.close();
  space.close();
  return row;
}

function harmOf({ sensitivity, history }) {
  if (sensitivity === undefined) return undefined;
  const sum = ({ config }) =>
    Object.entries(config).reduce((total, [name, width]) => {
      const { choices, degradation } = sensitivity[name];
      return total + degradation[choices.indexOf(width)];
    }, 0);
  return Math.min(...history.map(sum));
}

async function rowsOf(Searcher, config) {
  const rows = [];
  for (const seed of seeds) rows.push(await measure(Searcher, seed, config));
  return rows;
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function line(title, rows) {
  const of = (key) => rows.map((row) => row[key]);
  const accuracies = of("accuracy");
  return [
    title,
    accuracies.map((value) => (100 * value).toFixed(1)).join(", "),
    percent(mean(accuracies)),
    mean(of("score")).toFixed(4),
    percent(mean(of("flops"))),
    percent(mean(of("params"))),
    Math.round(mean(of("evaluations"))),
    mean(of("seconds")).toFixed(1),
  ];
}

const full = await measureFull();
const binary = await rowsOf(BinarySearcher, {});
const budget = Math.max(...binary.map(({ evaluations }) => evaluations));
if (options.candidates) {
  await compareSamplers(Number(options.candidates));
  process.exit();
}
const milp = await rowsOf(MilpSearcher, {});
const all = { maxChoices: null };
const lines = [
  line("`BinarySearcher`", binary),
  line("`BinarySearcher`, all widths", await rowsOf(BinarySearcher, all)),
  line("`MilpSearcher`", milp),
  line("`MilpSearcher`, all widths", await rowsOf(MilpSearcher, all)),
  line("`GradientSearcher`", await rowsOf(GradientSearcher, {})),
];
/** Generations of a size that gives about eight of them. */
const generations = (numIters) => {
  const populationSize = Math.min(100, Math.max(8, Math.round(numIters / 8)));
  return { numIters, populationSize };
};
const iterative = [
  ["`RandomSearcher`, `minBudgetUse: 0.85`", RandomSearcher, (n) => ({ numIters: n, minBudgetUse: 0.85 })],
  [
    "`EvolveSearcher`",
    EvolveSearcher,
    (n) => ({ ...generations(n), candidateSize: Math.round(generations(n).populationSize / 4) }),
  ],
  ["`ParetoSearcher`", ParetoSearcher, generations],
];
for (const times of options.more === "1" ? [1] : [1, Number(options.more)]) {
  for (const [title, Searcher, config] of iterative) {
    lines.push(line(title, await rowsOf(Searcher, config(times * budget))));
  }
}

const table = tableOf(lines);
const harms = binary.map(({ harm }, i) => `${milp[i].harm.toPrecision(3)} against ${harm.toPrecision(3)}`);
const text = `${table}

Full model: accuracy ${percent(full)}. Measured on ${os.cpus()[0].model.trim()}, one thread, Node ${process.versions.node}, by
\`OMP_NUM_THREADS=1 node bench/searchers.mjs --seeds ${options.seeds} --more ${options.more}\`.

Both minimize the sum of the sensitivities. \`MilpSearcher\` against \`BinarySearcher\`, by seed: ${harms.join("; ")}. The largest dual gap was ${Math.max(...milp.map(({ gap }) => gap))}.`;
console.log(text);
if (!options.dry) writeSection("results.md", "searchers", text);

function tableOf(lines) {
  const header = [
    "searcher",
    "accuracy by seed",
    "mean",
    "score",
    "FLOPs",
    "parameters",
    "measured",
    "CPU seconds",
  ];
  return [header, header.map((_, i) => (i === 0 ? "---" : "---:")), ...lines]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

/** Searchers that propose candidates, with many of them, beside the binary search. */
async function compareSamplers(numIters) {
  const samplers = [
    ["`RandomSearcher`, `minBudgetUse: 0.85`", RandomSearcher, { numIters, minBudgetUse: 0.85 }],
    ["`EvolveSearcher`", EvolveSearcher, { numIters, populationSize: 30, candidateSize: 8 }],
    ["`TpeSearcher`", TpeSearcher, { numIters }],
    ["`CmaEsSearcher`", CmaEsSearcher, { numIters }],
  ];
  const lines = [line("`BinarySearcher`", binary)];
  const scores = [["`BinarySearcher`", binary]];
  for (const [title, Searcher, config] of samplers) {
    const rows = await rowsOf(Searcher, config);
    lines.push(line(title, rows));
    scores.push([title, rows]);
  }
  const bySeed = scores
    .map(([title, rows]) => `${title} ${rows.map(({ score }) => score.toFixed(4)).join(", ")}`)
    .join("; ");
  const text = `${tableOf(lines)}

Scores by seed: ${bySeed}. Measured on ${os.cpus()[0].model.trim()}, one thread, Node ${process.versions.node}, by
\`OMP_NUM_THREADS=1 node bench/searchers.mjs --seeds ${options.seeds} --candidates ${numIters}\`.`;
  console.log(text);
  if (!options.dry) writeSection("results.md", "samplers", text);
}

async function measureFull() {
  const space = await digitsSpace();
  return heldOutAccuracy(space);
}
