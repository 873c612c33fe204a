// How a search and training scale with processes: efficiency at 1, 2 and 4 on this machine, a simulation fed with what
// candidates cost here, whose prediction stands beside what was measured, and what it says of 8 to 512. See
// docs/distributed.md.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";

import { root } from "../scripts/lib/run.mjs";
import { simulate, stepSeconds } from "./lib/group-simulator.mjs";
import { benchOptions } from "./lib/options.mjs";
import { finish, machine } from "./lib/report.mjs";
import { drawScaling } from "./lib/scaling-chart.mjs";
import { median } from "./lib/stats.mjs";
import { table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const cores = os.availableParallelism();
const RANKS = [1, 2, 4];
const MANY = [8, 16, 32, 64, 128, 256, 512];
const rounds = Number(options.rounds === 9 ? 3 : options.rounds);
const quick = options.quick;
const KINDS = [
  { kind: "random", candidates: quick ? 12 : 60 },
  { kind: "evolve", candidates: quick ? 12 : 64 },
  { kind: "sweep", candidates: 0 },
  { kind: "training", candidates: quick ? 6 : 60 },
].filter(({ kind }) => options.wanted(kind));
const SHARDS = 4;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** What rank 0 of a group says. */
async function run(work, ranks) {
  const port = await freePort();
  const ended = Array.from({ length: ranks }, (_, rank) => {
    const place = { RANK: rank, WORLD_SIZE: ranks, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port };
    const child = spawn(process.execPath, ["bench/workers/scaling.mjs", JSON.stringify(work)], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...place, OMP_NUM_THREADS: "1" },
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    return new Promise((resolve, reject) =>
      child.on("close", (code) =>
        code === 0 ? resolve(output) : reject(new Error(`rank ${rank}: code ${code}`)),
      ),
    );
  });
  return JSON.parse((await Promise.all(ended))[0]);
}

/** The rounds of candidates that a searcher can measure at the same time. */
function roundsOf(kind, costs) {
  if (kind !== "evolve") return [costs];
  const generations = [costs.slice(0, 16)];
  for (let at = 16; at < costs.length; at += 16) generations.push(costs.slice(at, at + 16));
  return generations;
}

const results = [];
for (const { kind, candidates } of KINDS) {
  const work = { kind, candidates, batches: quick ? 4 : 60, shards: SHARDS };
  const measured = Object.fromEntries(RANKS.map((ranks) => [ranks, []]));
  for (let round = 0; round < rounds; round++)
    // In turns, so that a busy moment of the machine meets all alike.
    for (const ranks of RANKS) measured[ranks].push(await run(work, ranks));
  const seconds = Object.fromEntries(
    RANKS.map((ranks) => [ranks, median(measured[ranks].map((each) => each.seconds))]),
  );
  const one = measured[1][0];
  results.push({ kind, seconds, one });
  console.error(`${kind}: ${JSON.stringify(seconds)}`);
}

/** Efficiency: what one process takes, by processes times what they take; more processes than cores count as cores. */
const efficiency = (one, many, ranks) => one / (many * Math.min(ranks, cores));
const percent = (value) => (Number.isFinite(value) ? `${Math.round(100 * value)} %` : "–");
/** Measured on two processes of this machine, by `test/distributed`: a ticket is some ten calls of 0.05 ms. */
const TICKET = 0.0005;

const searches = results.filter(({ kind }) => kind !== "training");
const models = searches.map(({ kind, seconds, one }) => {
  const busy = one.costs.reduce((sum, cost) => sum + cost, 0);
  const work = {
    rounds: roundsOf(kind, one.costs),
    inOrder: kind === "sweep",
    serial: Math.max(0, one.seconds - busy),
    ticket: TICKET,
  };
  return { kind, seconds, one, work };
});
const rows = models.map(({ kind, seconds, one, work }) => [
  kind,
  one.costs.length,
  ...RANKS.slice(1).flatMap((ranks) => [
    percent(efficiency(seconds[1], seconds[ranks], ranks)),
    percent(efficiency(simulate(work, 1, cores), simulate(work, ranks, cores), ranks)),
  ]),
]);
const training = results.find(({ kind }) => kind === "training");
let step = null;
if (training) {
  const per = Object.fromEntries(RANKS.map((ranks) => [ranks, training.seconds[ranks] / training.one.steps]));
  // From one and two processes; four are then a prediction.
  step = { shard: per[1] / SHARDS, shards: SHARDS, exchange: Math.max(0, per[2] - per[1] / 2) };
  rows.push([
    "training",
    training.one.steps,
    ...RANKS.slice(1).flatMap((ranks) => [
      percent(efficiency(per[1], per[ranks], ranks)),
      ranks === 2 ? "(fitted)" : percent(efficiency(per[1], stepSeconds(step, ranks, cores), ranks)),
    ]),
  ]);
}

/** A long search with costs like those measured, on as many cores as ranks. */
const random = models.find(({ kind }) => kind === "random") ?? models[0];
const predicted = [];
if (random) {
  const { costs, fixed } = random.one;
  const like = (count) => Array.from({ length: count }, (_, i) => costs[(i * 7) % costs.length]);
  const long = { serial: 0, ticket: TICKET, fixed };
  const generations = Array.from({ length: 20 }, () => like(25));
  const CASES = [
    ["random, 1,000 candidates", { ...long, rounds: [like(1000)] }],
    ["sweep, 300 candidates", { ...long, rounds: [like(300)], inOrder: true }],
    ["evolve, 20 generations of 25", { ...long, rounds: generations }],
    ["the same, 128 batches shared", { ...long, rounds: generations, batches: 128 }],
    ["one at a time, 128 batches shared", { ...long, rounds: like(100).map((cost) => [cost]), batches: 128 }],
  ];
  for (const [name, work] of CASES)
    for (const ranks of MANY)
      predicted.push({
        name,
        ranks,
        efficiency: simulate(work, 1, ranks) / (ranks * simulate(work, ranks, ranks)),
      });
}
const cases = [...new Set(predicted.map(({ name }) => name))];
const forecast = cases.map((name) => [
  name,
  ...predicted.filter((each) => each.name === name).map((each) => percent(each.efficiency)),
]);
const text = [
  `Efficiency here, with ${cores} cores: measured, and as the simulation says it from the costs of one process. Four processes are compared with ${Math.min(4, cores)} cores.`,
  "",
  table(
    [
      "what",
      "candidates or steps",
      ...RANKS.slice(1).flatMap((ranks) => [`${ranks} processes`, "simulated"]),
    ],
    rows,
  ),
  ...(step === null
    ? []
    : [
        "",
        `A step of training with ${SHARDS} shards hands ${(training.one.bytes / 1e6).toFixed(2)} MB of gradients over; that takes ${(1000 * step.exchange).toFixed(1)} ms with two processes.`,
      ]),
  "",
  "Efficiency that the simulation says of more processes, each with a core of its own, with costs as measured here:",
  "",
  table(["search", ...MANY.map(String)], forecast),
].join("\n");
if (options.writes) {
  const folder = path.join(root, "docs", "images");
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "scaling.svg"), drawScaling(predicted));
}
finish("scaling", options, { page: "distributed.md", text, raw: { results, predicted }, before });
