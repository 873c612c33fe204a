// `npm run zoo`: checks every model of the zoo, one after the other, and writes docs/zoo.md. Finished
// models are recorded in .zoo/zoo.jsonl and skipped the next time, so an interrupted run continues.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { ensureZooPython, python, torchRoot, zooPython } from "./lib/python.mjs";
import { capture, main, root, SetupError, say } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";
import { checkModel, failureOf } from "./zoo/check.mjs";
import { FORMS, fixturesVersion, formsOf, listModels, MORE_KINDS } from "./zoo/models.mjs";
import { PythonService } from "./zoo/python-service.mjs";
import { Records } from "./zoo/records.mjs";
import { PAGES, zooReport } from "./zoo/report.mjs";

const HELP = `npm run zoo -- [options]

  --only NAME[:FORM]   this model only (repeatable), also when it is finished
  --filter REGEX       models whose NAME:FORM matches, also when they are finished
  --forms FORMS        of scripted,traced,pt2 (default: the first two, docs/zoo.md; pt2 is docs/zoo-pt2.md);
                       also --form
  --kinds KINDS        of classification,timm,segmentation,detection (the default: docs/zoo.md) and
                       transformers,timm-more,smp,monai,ultralytics (\`more\` for all: docs/zoo-more.md), which
                       are made in an environment of their own, .zoo/venv
  --retry-failed       the ones that failed once more
  --again              finished ones once more
  --stop-after SECONDS begins no further model then
  --seconds N          time limit of one step of a model, default 1200
  --gib N              memory limit of a process, default three quarters of the machine's
  --records FILE       default .zoo/zoo.jsonl
  --as-built           neither installs nor compiles anything first
  --list               prints what would run
  --no-report          leaves docs/zoo.md as it is
  --report             writes docs/zoo.md from the records and runs nothing
`;

const OPTIONS = {
  only: { type: "string", multiple: true, default: [] },
  filter: { type: "string" },
  forms: { type: "string" },
  form: { type: "string" },
  kinds: { type: "string", default: "classification,timm,segmentation,detection" },
  "retry-failed": { type: "boolean", default: false },
  again: { type: "boolean", default: false },
  "stop-after": { type: "string" },
  seconds: { type: "string", default: "1200" },
  gib: { type: "string", default: ((0.75 * os.totalmem()) / 2 ** 30).toFixed(1) },
  records: { type: "string", default: path.join(root, ".zoo", "zoo.jsonl") },
  "as-built": { type: "boolean", default: false },
  list: { type: "boolean", default: false },
  "no-report": { type: "boolean", default: false },
  report: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

function readOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    throw new SetupError(`${error.message}\n${HELP}`);
  }
}

/** What to run: models, each with the requested forms that are not finished. */
function plan(options, records) {
  const forms = (options.forms ?? options.form ?? "scripted,traced").split(",");
  const odd = forms.find((form) => !FORMS.includes(form));
  if (odd !== undefined) throw new SetupError(`--forms are of ${FORMS.join(", ")}, not ${odd}.`);
  const kinds = options.kinds.split(",").flatMap((kind) => (kind === "more" ? MORE_KINDS : [kind]));
  const pattern = options.filter === undefined ? null : new RegExp(options.filter);
  const named = options.only.length > 0 || pattern !== null;
  const wanted = (model, form) => {
    const key = `${model.name}:${form}`;
    if (named) return options.only.some((only) => only === key || only === model.name) || pattern?.test(key);
    const record = records.get(model.name, form);
    if (record === undefined || options.again) return true;
    return record.status === "failed" && options["retry-failed"];
  };
  const models = listModels();
  const unknown = options.only.find((only) => !models.some(({ name }) => only.replace(/:\w+$/, "") === name));
  if (unknown) throw new SetupError(`test/oracle/flops.json and zoo_more.json have no model ${unknown}.`);
  return models
    .filter(({ kind }) => named || kinds.includes(kind))
    .map((model) => ({
      model,
      forms: formsOf(model.kind).filter((form) => forms.includes(form) && wanted(model, form)),
    }))
    .filter(({ forms: left }) => left.length > 0);
}

function asBuilt() {
  return {
    env: {
      TORCHSEARCH_LIBTORCH: process.env.TORCHSEARCH_LIBTORCH || torchRoot(),
      TORCHSEARCH_PYTHON: python,
    },
  };
}

/** The versions, for a record, of the code that ran and of the scripts that made the model. */
function buildOf() {
  const addon = readFileSync(path.join(root, "build", "Release", "torchsearch.node"));
  return {
    build: createHash("sha256").update(addon).digest("hex").slice(0, 12),
    commit: process.env.TORCHSEARCH_COMMIT ?? capture("git", ["rev-parse", "--short", "HEAD"]) ?? null,
  };
}

function newRecord(model, form, facts) {
  const { name, kind, family, input, params, flops } = model;
  const fixtures = fixturesVersion(kind);
  return {
    name,
    form,
    kind,
    family,
    input,
    expected: { params, flops },
    ...facts,
    fixtures,
    stages: {},
    memory: {},
  };
}

function tellResult(record) {
  const failure = failureOf(record);
  const seconds = `${record.seconds} s`;
  if (failure) {
    say(
      `FAILED ${record.name}:${record.form} at ${failure.stage} (${seconds}): ${failure.code}: ${failure.message}`,
    );
  } else {
    const share = record.costs
      ? `, ${share100(record, "params")} params, ${share100(record, "macs")} MACs`
      : "";
    say(`ok ${record.name}:${record.form} (${seconds}${share})`);
  }
}

const share100 = ({ costs }, metric) => `${((100 * costs.half[metric]) / costs.full[metric]).toFixed(0)} %`;

async function run(options, records) {
  const todo = plan(options, records);
  if (options.list) {
    for (const { model, forms } of todo)
      for (const form of forms) process.stdout.write(`${model.name}:${form}\n`);
    return;
  }
  const { env } = options["as-built"] ? asBuilt() : await setup(["zoo", "timm"]);
  Object.assign(process.env, env, { OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "1" });
  const limits = { seconds: Number(options.seconds), bytes: Number(options.gib) * 2 ** 30 };
  const scratch = path.join(root, ".zoo", `run-${process.pid}`);
  const maker = new PythonService([
    env.TORCHSEARCH_PYTHON,
    path.join(root, "scripts", "fixtures", "architectures.py"),
    ...["--serve", "--threads", "1", "--out", scratch],
  ]);
  const verifier = new PythonService([
    env.TORCHSEARCH_PYTHON,
    path.join(root, "scripts", "python", "verify_subnet.py"),
    ...["--serve", "--threads", "1"],
  ]);
  const moreMaker = new PythonService([zooPython, path.join(root, "scripts", "fixtures", "zoo_more.py")]);
  if (todo.some(({ model }) => MORE_KINDS.includes(model.kind))) await ensureZooPython();
  let stopped = false;
  process.once("SIGINT", () => {
    stopped = true;
    say("Stopping after this model; press Ctrl-C again to stop at once");
  });
  const start = performance.now();
  const stopAfter = Number(options["stop-after"] ?? Number.POSITIVE_INFINITY);
  const build = buildOf();
  let done = 0;
  try {
    for (const { model, forms } of todo) {
      if (stopped || (performance.now() - start) / 1000 > stopAfter) break;
      done += 1;
      say(`${done}/${todo.length} ${model.name} (${forms.join(", ")})`);
      const folder = path.join(scratch, "model");
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      const isMore = MORE_KINDS.includes(model.kind);
      const own = isMore ? moreMaker : maker;
      const made = await own.ask({ name: model.name, forms, out: folder }, limits);
      const { torch, torchvision, timm, versions } = own.ready ?? {};
      const counted = { ...model, ...made.oracle };
      for (const form of forms) {
        const began = performance.now();
        const facts = {
          ...build,
          date: new Date().toISOString(),
          versions: versions ?? { torch, torchvision, timm },
        };
        const record = newRecord(counted, form, facts);
        const problem = made.failure ?? (made.errors[form] && { code: "MAKE", message: made.errors[form] });
        record.stages.make = problem
          ? { status: "failed", ...problem }
          : { status: "ok", seconds: Number((made.seconds / forms.length).toFixed(2)) };
        if (!problem) {
          const stem = path.join(folder, model.name.replace("/", "__"));
          const files = {
            folder,
            file: form === "pt2" ? `${stem}.pt2` : `${stem}.${form}.pt`,
            expectation: model.kind === "detection" ? null : `${stem}.io.npz`,
          };
          await checkModel(counted, files, { verifier, limits, record });
          rmSync(files.file, { force: true });
        }
        record.status = failureOf(record) ? "failed" : "ok";
        record.seconds = Number(((performance.now() - began) / 1000).toFixed(1));
        records.add(record);
        tellResult(record);
      }
    }
  } finally {
    await Promise.all([maker.close(), moreMaker.close(), verifier.close()]);
    rmSync(scratch, { recursive: true, force: true });
  }
}

main(async () => {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const records = new Records(path.resolve(options.records));
  if (!options.report) await run(options, records);
  if (options.list || options["no-report"]) return;
  for (const page of PAGES) {
    const models = listModels().filter(({ kind }) => page.kinds.some(([name]) => name === kind));
    const known = records
      .all()
      .filter(({ name, form }) => page.forms.includes(form) && models.some((model) => model.name === name));
    if (known.length === 0) continue; // nothing of the page ran here
    const file = path.join(root, "docs", page.file);
    writeFileSync(file, zooReport(known, models, page));
    say(`Wrote ${path.relative(root, file)}`);
  }
});
