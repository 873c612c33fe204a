// Exported programs: how long loading one takes here and in Python's torch.export.load, and how long a search takes on
// one and on the trace of the same model. See docs/exported-programs.md.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { convert, Module, search, Tensor } from "torchsearch";

import { python } from "../scripts/lib/python.mjs";
import { root, run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { ranged, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

const options = benchOptions();
const before = machine(options);
const LOADED = ["cnn_batch", "block", "encoder", "vit", "resnet18", "mobilenet_v2"].filter(options.wanted);
const SEARCHED = { cnn_batch: [2, 3, 8, 8], resnet18: [2, 3, 64, 64], mobilenet_v2: [2, 3, 64, 64] };
const PASSES = options.quick ? 1 : 5; // the fastest counts

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-bench-"));
const script = path.join(root, "scripts", "fixtures", "exported_programs.py");
run(python, ["-W", "ignore", script, "--out", folder, ...LOADED], { remedy: "See its message above." });
const fileOf = (name, ending) => path.join(folder, `${name}.${ending}`);

async function fastest(body) {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < PASSES; i++) {
    const start = performance.now();
    await body();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const load = (file) =>
  fastest(async () => {
    (await Module.load(file)).close();
  });

async function searched(file, shape) {
  const length = shape.reduce((a, b) => a * b, 1);
  const input = Tensor.from(
    Float32Array.from({ length }, (_, i) => Math.sin(i)),
    shape,
  );
  const dataLoader = [input, input];
  const module = await Module.load(file);
  const start = performance.now();
  try {
    const space = await convert(module, "fastnas", input);
    const { subnet } = await search(space, { flops: "60%" }, input, {
      dataLoader,
      scoreFunc: async (candidate) => {
        const output = await candidate.forward(input);
        return Number(output.data()[0]);
      },
      verbose: false,
    });
    const milliseconds = performance.now() - start;
    subnet.close();
    space.close();
    return milliseconds;
  } finally {
    module.close();
  }
}

const worker = Worker.python("load_exported.py", python);
const loads = {};
const searches = {};
try {
  for (let round = -1; round < options.rounds; round++) {
    for (const name of LOADED) {
      const file = fileOf(name, "pt2");
      const ours = await load(file);
      const { milliseconds } = await worker.ask({ file, passes: PASSES });
      if (round < 0) continue; // brings the files into the page cache
      loads[name] ??= { ours: [], python: [] };
      loads[name].ours.push(ours);
      loads[name].python.push(milliseconds);
    }
    for (const [name, shape] of Object.entries(SEARCHED).filter(([each]) => LOADED.includes(each))) {
      const exported = await searched(fileOf(name, "pt2"), shape);
      const traced = await searched(fileOf(name, "pt"), shape);
      if (round < 0) continue;
      searches[name] ??= { exported: [], traced: [] };
      searches[name].exported.push(exported);
      searches[name].traced.push(traced);
    }
  }
} finally {
  await worker.close();
  rmSync(folder, { recursive: true });
}

const loadRows = Object.entries(loads).map(([name, { ours, python: theirs }]) => [
  name,
  ranged(summary(ours)),
  ranged(summary(theirs)),
  ratio(ratios(theirs, ours)),
]);
const searchRows = Object.entries(searches).map(([name, { exported, traced }]) => [
  name,
  ranged(summary(exported)),
  ranged(summary(traced)),
  ratio(ratios(exported, traced)),
]);
finish("exported", options, {
  page: "exported-programs.md",
  text: `${table(["loading a .pt2, ms", "torchsearch", "torch.export.load", "times as long"], loadRows)}

${table(["a search, ms", "on the .pt2", "on the trace", "times as long"], searchRows)}`,
  raw: { loads, searches },
  before,
});
