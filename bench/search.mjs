// The whole FastNAS search to 60 % FLOPs, ours against NVIDIA ModelOpt's, each in a process of its own, in turns: the same
// weights, data, batch, score function, calibration, divisor and threads. See docs/benchmarks.md.
import { spawnSync } from "node:child_process";

import { root, run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { median, ratios } from "./lib/stats.mjs";
import { number, ratio, table } from "./lib/text.mjs";

const options = benchOptions();
const digits = { model: "digits_resnet", batch: 64, scoreSamples: 500, calibrationSamples: 320, rounds: 5 };
const mobile = {
  model: "mobilenet_v2_digits",
  batch: 64,
  scoreSamples: 256,
  calibrationSamples: 128,
  rounds: 2,
};
const CASES = [
  { ...digits, divisor: 32, score: "accuracy" },
  { ...digits, divisor: 8, score: "accuracy" },
  { ...digits, divisor: 8, score: "crossEntropy" },
  { ...mobile, divisor: 32, score: "crossEntropy" },
].filter(({ model, divisor, score }) => options.wanted(`${model}:${divisor}:${score}`));

/** The searches, each in a process of its own. */
const SIDES = [
  {
    key: "modelopt",
    tool: "ModelOpt",
    search: (args) => searched(peerPython, ["-W", "ignore", "bench/python/modelopt_fastnas.py", ...args]),
  },
  { key: "all", tool: "`BinarySearcher`, all widths", search: ours("--max-choices", "all") },
  { key: "binary", tool: "`BinarySearcher`", search: ours() },
  { key: "gradient", tool: "`GradientSearcher`", search: ours("--searcher", "gradient") },
];

function ours(...more) {
  return (args) => searched(process.execPath, ["bench/workers/fastnas.mjs", ...args, ...more]);
}

const before = machine(options);
await ensurePeers();
const models = [...new Set(CASES.map(({ model }) => model))];
run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...models], { remedy: "See its message above." });

const results = CASES.map((each) => {
  const rounds = options.quick ? 1 : Number(options.rounds === 9 ? each.rounds : options.rounds);
  const found = { ...each, ...Object.fromEntries(SIDES.map(({ key }) => [key, []])) };
  for (let round = 0; round < rounds; round++) {
    const args = argumentsOf(each);
    for (const { key, search } of SIDES) found[key].push(search(args));
    const seconds = SIDES.map(({ key }) => `${key} ${number(found[key].at(-1).seconds)} s`);
    console.error(`${each.model}, divisor ${each.divisor}, ${each.score}: ${seconds.join(", ")}`);
  }
  return found;
});

function argumentsOf({ model, divisor, score, batch, scoreSamples, calibrationSamples }) {
  return Object.entries({
    model,
    divisor,
    score,
    batch,
    threads: options.threads,
    "score-samples": scoreSamples,
    "calibration-samples": calibrationSamples,
  }).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

/** The last line that a search in a process of its own prints. */
function searched(program, args) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`${args.join(" ")} failed: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const title = { accuracy: "accuracy", crossEntropy: "cross-entropy" };
const named = ({ model, divisor, score }) => `${model}, divisor ${divisor}, ${title[score]}`;
const outcome = table(
  [
    "search",
    "hyperparameters",
    "widths",
    "scored",
    "score",
    "held-out accuracy",
    "FLOPs",
    "seconds",
    "peak MB",
  ],
  results.flatMap((result) =>
    SIDES.map(({ key, tool }) => {
      const runs = result[key];
      const [first] = runs;
      const digitsOf = (value) => value.toFixed(result.score === "accuracy" ? 3 : 4);
      return [
        `${named(result)}: ${tool}`,
        first.hyperparameters,
        first.choices,
        first.evaluations,
        `${digitsOf(first.scoreBefore)} → ${digitsOf(first.scoreAfter)}`,
        `${percent(first.heldOutBefore)} → ${percent(first.heldOutAfter)}`,
        percent(first.flopsAfter / first.flopsBefore),
        number(median(runs.map(({ seconds }) => seconds))),
        number(median(runs.map(({ peakMemoryMB }) => peakMemoryMB))),
      ];
    }),
  ),
);
const [modelopt, ...others] = SIDES;
const seconds = ({ seconds }) => seconds;
const compared = table(
  ["search", ...others.map(({ tool }) => `ModelOpt : ${tool}`), "a candidate, ModelOpt : all widths"],
  results.map((result) => {
    const against = (key, of) => ratio(ratios(result[modelopt.key].map(of), result[key].map(of)));
    const each = ({ seconds, evaluations }) => seconds / evaluations;
    return [named(result), ...others.map(({ key }) => against(key, seconds)), against("all", each)];
  }),
);
const version = results[0].modelopt[0].version;
finish("search", options, {
  text: `Against nvidia-modelopt ${version}, from conversion to exported subnet:\n\n${outcome}\n\nRatios of seconds within a pair, median (minimum–maximum); above 1 torchsearch is faster:\n\n${compared}`,
  raw: results,
  before,
});
