// What a call costs beyond the model: forwards of a model that returns its input, against Python's calls of the same
// ScriptModule, in turns. See docs/benchmarks.md.
import { mkdirSync } from "node:fs";
import path from "node:path";

import { python } from "../scripts/lib/python.mjs";
import { run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { ensurePeers } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { ranged, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions();
const COUNT = options.quick ? 2000 : 50_000;
const before = machine(options);
await ensurePeers();
mkdirSync(scratch, { recursive: true });
const file = path.join(scratch, "identity.pt");
run(python, ["-W", "ignore", "bench/python/identity.py", file], { remedy: "See its message above." });

const workers = { ours: Worker.ours("workers/torchsearch.mjs"), pytorch: Worker.python("worker.py") };
const CALLS = [
  { name: "`await module.forward(x)`", worker: "ours", request: { op: "calls" } },
  { name: "the same, 64 in flight", worker: "ours", request: { op: "calls", inFlight: 64 } },
  { name: "Python: `module(x)`", worker: "pytorch", request: { op: "calls" } },
  { name: "a batch in a native loop with a score", worker: "ours", request: { op: "batches" } },
  { name: "Python: a batch in a loop with a score", worker: "pytorch", request: { op: "batches" } },
];
const times = CALLS.map(() => []);
for (let round = 0; round < options.rounds; round++) {
  for (const [i, { worker, request }] of CALLS.entries()) {
    const { seconds } = await workers[worker].ask({ ...request, file, count: COUNT });
    times[i].push((1e6 * seconds) / COUNT);
  }
}
for (const worker of Object.values(workers)) await worker.close();

const [one, many, call, batch, loop] = times;
const rows = CALLS.map(({ name }, i) => [name, ranged(summary(times[i]))]);
finish("overhead", options, {
  text: `${table([`${COUNT.toLocaleString("en-US")} times`, "microseconds each"], rows)}

Python's call : ours is ${ratio(ratios(call, one))} one by one and ${ratio(ratios(call, many))} with 64 in flight; Python's batch : ours is ${ratio(ratios(loop, batch))} (median, minimum–maximum of ${options.rounds} pairs; above 1 ours is faster).`,
  raw: times,
  before,
});
