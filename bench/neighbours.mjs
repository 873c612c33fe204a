// What a busy neighbour costs: the digits FastNAS search (bench/search.mjs has it on its own), alone and beside processes
// that never wait. torchsearch as it is, with the spinning that OpenMP does by itself, and NVIDIA ModelOpt's on PyTorch.
import { spawn, spawnSync } from "node:child_process";
import os from "node:os";

import { root, run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { ranged, ratio, table } from "./lib/text.mjs";

const cores = os.availableParallelism();
const options = benchOptions({ threads: { type: "string", default: String(cores) } });
const rounds = options.quick ? 1 : Math.min(options.rounds, 5);
const NEIGHBOURS = options.quick ? [0, 1] : [0, 1, 2, 4];
const SEARCH = ["--model", "digits_resnet", "--divisor", "32", "--score", "accuracy", "--batch", "64"];
const ARGUMENTS = [...SEARCH, "--threads", String(options.threads), "--score-samples", "500"];
const OURS = [process.execPath, ["bench/workers/fastnas.mjs", ...ARGUMENTS, "--calibration-samples", "320"]];
// What GNU's runtime chooses where nothing is set and there are no more threads than cores.
const UNSET_SPINS = "300000";
const SIDES = [
  { key: "ours", tool: "torchsearch", command: OURS, env: {} },
  {
    key: "spinning",
    tool: "torchsearch, OpenMP as it is",
    command: OURS,
    env: { GOMP_SPINCOUNT: UNSET_SPINS },
  },
  {
    key: "modelopt",
    tool: "ModelOpt",
    command: [
      peerPython,
      ["-W", "ignore", "bench/python/modelopt_fastnas.py", ...ARGUMENTS, "--calibration-samples", "320"],
    ],
    env: {},
  },
].filter(({ key }) => options.wanted(key));

/** Seconds of the search that a process prints, beside `count` processes that keep a core busy each. */
function beside(count, { command: [program, args], env }) {
  const busy = Array.from({ length: count }, () =>
    spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
  );
  try {
    const { status, stdout, stderr } = spawnSync(program, args, {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
    if (status !== 0) throw new Error(`${args.join(" ")} failed: ${stderr.slice(-2000)}`);
    return JSON.parse(stdout.trim().split("\n").at(-1)).seconds;
  } finally {
    for (const process of busy) process.kill("SIGKILL");
  }
}

const before = machine(options);
await ensurePeers();
run(peerPython, ["-W", "ignore", "bench/python/assets.py", "digits_resnet"], {
  remedy: "See its message above.",
});

const seconds = Object.fromEntries(SIDES.map(({ key }) => [key, NEIGHBOURS.map(() => [])]));
for (let round = 0; round < rounds; round++) {
  for (const [at, count] of NEIGHBOURS.entries()) {
    for (const side of SIDES) seconds[side.key][at].push(beside(count, side));
    const now = SIDES.map(({ key, tool }) => `${tool} ${seconds[key][at].at(-1).toFixed(2)} s`);
    console.error(`${count} busy: ${now.join(", ")}`);
  }
}

/** What is left of the cores for the threads of the search, where the kernel shares them fairly among all that run. */
const share = (count) => Math.min(1, cores / (count + options.threads));
const title = (count) => (count === 0 ? "alone" : `beside ${count}`);
const took = table(
  ["seconds", ...NEIGHBOURS.map(title)],
  SIDES.map(({ key, tool }) => [tool, ...seconds[key].map((list) => ranged(summary(list)))]),
);
const slower = table(
  ["times as long as alone", ...NEIGHBOURS.slice(1).map(title)],
  [
    ...SIDES.map(({ key, tool }) => {
      const [alone, ...others] = seconds[key];
      return [tool, ...others.map((list) => ratio(ratios(list, alone)))];
    }),
    ["a fair share of the cores", ...NEIGHBOURS.slice(1).map((count) => ratio(summary([1 / share(count)])))],
  ],
);
finish("neighbours", options, {
  text: `Median (minimum–maximum) of ${rounds} rounds:\n\n${took}\n\n${slower}`,
  raw: { neighbours: NEIGHBOURS, seconds },
  before,
});
