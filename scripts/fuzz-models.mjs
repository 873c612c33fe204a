// `npm run fuzz:models -- --seed N --count N`: random models from a grammar of what real networks do, converted, exported,
// and held against PyTorch (CONTRIBUTING.md). Exits 1 when a promise was broken.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { describeFailure, fuzzModels } from "./fuzz/models/run.mjs";
import { python, torchRoot } from "./lib/python.mjs";
import { main, SetupError, say } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

const HELP = `npm run fuzz:models -- [options]

  --seed N      which models; default from the time
  --count N     how many, default 100
  --first N     the index of the first one, default 0; with --count 1 it repeats one model
  --jobs N      so many at the same time, default 1
  --seconds S   no model is begun after so many; default 0, no limit
  --shrink S    seconds for making one failing model small, default 60; 0 for none
  --known       what is known to fail, too (scripts/fuzz/models/grammar/known.py)
  --trees FILE  the models of a table such as test/fuzz/random-models.json instead of drawn ones
  --json        one JSON document on standard output
  --keep DIR    keeps every model's folder and writes the failures there
  --as-built    neither installs nor compiles anything first
`;
const OPTIONS = {
  seed: { type: "string", default: String(Math.floor(Date.now() / 1000)) },
  count: { type: "string", default: "100" },
  first: { type: "string", default: "0" },
  jobs: { type: "string", default: "1" },
  seconds: { type: "string", default: "0" },
  shrink: { type: "string", default: "60" },
  known: { type: "boolean", default: false },
  trees: { type: "string" },
  json: { type: "boolean", default: false },
  keep: { type: "string" },
  "as-built": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

function readOptions() {
  try {
    const options = parseArgs({ options: OPTIONS }).values;
    for (const name of ["seed", "count", "first", "jobs", "seconds", "shrink"]) {
      const value = Number(options[name]);
      if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number`);
      options[name] = value;
    }
    return options;
  } catch (error) {
    throw new SetupError(`${error.message}\n${HELP}`);
  }
}

/** The models of a table, as options of a run. */
function readTable(file) {
  if (file === undefined) return { trees: undefined };
  const trees = JSON.parse(readFileSync(file, "utf8")).map(({ tree }) => tree);
  return { trees, first: 0, count: trees.length, shrink: 0 };
}

function printSummary(summary) {
  const list = (title, counts) => {
    const rows = Object.entries(counts).sort((a, b) => b[1] - a[1]);
    if (rows.length > 0)
      process.stdout.write(`${title}\n${rows.map(([key, n]) => `  ${n} x ${key}\n`).join("")}`);
  };
  const kinds = {};
  for (const { kind } of summary.failures) kinds[kind] = (kinds[kind] ?? 0) + 1;
  for (const known of summary.known ?? []) process.stdout.write(`left out, a known fault: ${known}\n`);
  list("no models (PyTorch refuses them, or layers don't fit):", summary.invalid);
  list("refused by convert():", summary.refused);
  list("refused at other sizes:", summary.refusals);
  list("subnets not compared with the masked model:", summary.skipped);
  list("broken promises, in models:", kinds);
}

main(async () => {
  const given = readOptions();
  const options = { ...given, ...readTable(given.trees) };
  if (options.help) return void process.stdout.write(HELP);
  const asBuilt = {
    TORCHSEARCH_LIBTORCH: process.env.TORCHSEARCH_LIBTORCH || torchRoot(),
    TORCHSEARCH_PYTHON: process.env.TORCHSEARCH_PYTHON || python,
  };
  const env = options["as-built"] ? asBuilt : (await setup()).env;
  const keep = options.keep === undefined ? undefined : path.resolve(options.keep);
  if (keep !== undefined) mkdirSync(keep, { recursive: true });
  say(`Models of seed ${options.seed}`);
  const start = performance.now();
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(0)} s`;
  let done = 0;
  const texts = [];
  const summary = await fuzzModels({
    ...options,
    keep,
    env,
    python: env.TORCHSEARCH_PYTHON,
    onFailure: (failure) => {
      const text = describeFailure(failure);
      if (failure.tried === undefined && options.shrink > 0) return; // one of its kind was shown
      texts.push(text);
      if (!options.json) process.stdout.write(`${text}\n`);
    },
    onModel: ({ index, faults = [] }) => {
      if (faults.length > 0)
        say(`model ${index}: ${[...new Set(faults.map(({ kind }) => kind))].join(", ")}`);
      if (++done % 50 === 0) say(`${done} models, ${seconds()}`);
    },
  });
  if (options.json) {
    const failures = summary.failures.map((failure) => ({ ...failure, text: describeFailure(failure) }));
    process.stdout.write(`${JSON.stringify({ ...summary, failures })}\n`);
  } else printSummary(summary);
  if (keep !== undefined) writeFileSync(path.join(keep, "failures.txt"), texts.join("\n"));
  const { models, subnets, hyperparameters, failures } = summary;
  say(
    `seed ${options.seed}: ${models} models, ${subnets} subnets, ${hyperparameters} hyperparameters, ${seconds()}`,
  );
  const broken = new Set(failures.map(({ index }) => index)).size;
  if (broken > 0) throw new SetupError(`${broken} models broke a promise.`);
});
