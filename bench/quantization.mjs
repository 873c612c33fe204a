// Compares formats chosen for each layer with one format for all, on the digits ResNet and the digits ViT, and with
// nvidia-modelopt's auto_quantize; writes the table into docs/results.md.
//
//   OMP_NUM_THREADS=1 node bench/quantization.mjs [--seeds 3] [--peer .peers/bin/python] [--methods gradient,kl_div]
//     [--rows FILE] [--dry]
//
// Calibrates and measures on 512 training images, picked by the seed; accuracy and cross-entropy are on the 500
// held-out images. `--peer` is the Python of the environment that bench/python/setup_peers.py makes; without it, the
// peer is left out. `--rows` keeps measurements in a file, so an interrupted run continues.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  AutoQuantizeSearcher,
  convert,
  crossEntropy,
  Module,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

import { writeSection } from "./lib/page.mjs";

const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    peer: { type: "string" },
    methods: { type: "string", default: "gradient" },
    rows: { type: "string" },
    dry: { type: "boolean", default: false },
  },
});
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const fixtures = path.join(root, "test", "fixtures");
const data = path.join(fixtures, "digits.npz");
const seeds = Array.from({ length: Number(options.seeds) }, (_, seed) => seed);
const BATCHES = 4;
const BATCH = 128;

const heldOut = await TensorDataLoader.fromNpz(data, {
  keys: ["test_images", "test_labels"],
  batchSize: 250,
});
const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
/** The formats to choose from: the usual two, and smaller ones, which do harm. */
const activation = { bits: 8, symmetric: false };
const narrow = (bits) => ({ weight: { bits, calibration: "meanSquaredError" }, activation });
const FEW = { int8: "int8", int4: "int4" };
const MANY = { int8: "int8", int4: "int4", int3: narrow(3), int2: narrow(2) };

async function rate(model) {
  return { accuracy: await topKAccuracy(heldOut)(model), loss: -(await crossEntropy(heldOut)(model)) };
}

async function calibrated(model, formats, seed) {
  const module = await Module.load(path.join(fixtures, `${model}.pt`));
  const space = await convert(module, "auto_quantize", example, { formats });
  const keys = ["train_images", "train_labels"];
  const loader = await TensorDataLoader.fromNpz(data, { keys, batchSize: BATCH, shuffle: true, seed });
  return { space, loader };
}

/** All layers in one format. */
async function uniform(model, format, seed) {
  const { space, loader } = await calibrated(model, MANY, seed);
  await space.calibrate(loader, { maxBatches: BATCHES });
  space.select(space.uniform(format));
  return { ...(await rate(space)), bits: space.cost(space.active, "effectiveBits") };
}

/** Formats chosen for each group of layers. */
async function chosen(model, formats, effectiveBits, sensitivity, seed) {
  const { space, loader } = await calibrated(model, formats, seed);
  const start = process.cpuUsage();
  const { subnet, stateDict } = await new AutoQuantizeSearcher().search(space, { effectiveBits }, example, {
    dataLoader: loader,
    maxIterDataLoader: BATCHES,
    sensitivity,
    verbose: false,
  });
  const { user, system } = process.cpuUsage(start);
  if (stateDict.milp.gap !== 0) throw new Error("the integer program was not solved to optimality");
  return {
    ...(await rate(subnet)),
    bits: stateDict.best.costs.effectiveBits,
    seconds: (user + system) / 1e6,
  };
}

/** ModelOpt's choice among weights of these bits. */
function peer(model, bits, effectiveBits, method, seed) {
  const script = path.join(root, "bench", "python", "modelopt_auto_quantize.py");
  const flags = ["--model", model, "--formats", bits, "--effective-bits", effectiveBits, "--method", method];
  const output = execFileSync(options.peer, ["-W", "ignore", script, ...flags, "--seed", seed].map(String), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  const found = JSON.parse(output.trim().split("\n").at(-1));
  return {
    accuracy: found.accuracy,
    loss: found.crossEntropy,
    bits: found.effectiveBits,
    seconds: found.seconds,
  };
}

const known = new Map(
  options.rows && existsSync(options.rows)
    ? readFileSync(options.rows, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
    : [],
);

async function row(model, title, measure) {
  const rows = [];
  for (const seed of seeds) {
    const key = JSON.stringify([model, title, seed]);
    const found = known.get(key) ?? (await measure(seed));
    if (options.rows && !known.has(key)) appendFileSync(options.rows, `${JSON.stringify([key, found])}\n`);
    rows.push(found);
  }
  const mean = (key) => rows.reduce((sum, each) => sum + (each[key] ?? Number.NaN), 0) / rows.length;
  const line = [
    title,
    rows.map(({ accuracy }) => (100 * accuracy).toFixed(1)).join(", "),
    mean("loss").toFixed(4),
    mean("bits").toFixed(2),
    rows[0].seconds === undefined ? "" : mean("seconds").toFixed(1),
  ];
  console.error(line.join(" | "));
  return line;
}

const parts = [];
for (const model of ["digits_resnet", "digits_vit"]) {
  const float = await rate(await Module.load(path.join(fixtures, `${model}.pt`)));
  const lines = [["float32", (100 * float.accuracy).toFixed(1), float.loss.toFixed(4), "32.00", ""]];
  for (const format of ["int8", "int4", "int3", "int2"]) {
    lines.push(await row(model, `all ${format}`, (seed) => uniform(model, format, seed)));
  }
  for (const sensitivity of ["gradient", "klDivergence", "meanSquaredError"]) {
    const title = `chosen, 6 bits, \`${sensitivity}\``;
    lines.push(await row(model, title, (seed) => chosen(model, FEW, 6, sensitivity, seed)));
  }
  for (const sensitivity of ["gradient", "klDivergence"]) {
    const title = `chosen from 8, 4, 3 and 2 bits, 3 bits, \`${sensitivity}\``;
    lines.push(await row(model, title, (seed) => chosen(model, MANY, 3, sensitivity, seed)));
  }
  if (options.peer) {
    for (const method of options.methods.split(",")) {
      lines.push(
        await row(model, `ModelOpt, 6 bits, \`${method}\``, (seed) => peer(model, "8,4", 6, method, seed)),
        await row(model, `ModelOpt from 8, 4, 3 and 2 bits, 3 bits, \`${method}\``, (seed) =>
          peer(model, "8,4,3,2", 3, method, seed),
        ),
      );
    }
  }
  const header = [model, "accuracy by seed", "cross-entropy", "effective bits", "seconds"];
  parts.push(
    [header, ["---", "---:", "---:", "---:", "---:"], ...lines]
      .map((cells) => `| ${cells.join(" | ")} |`)
      .join("\n"),
  );
}

const cpu = os.cpus()[0]?.model.trim() ?? "an unknown processor";
const text = [
  ...parts,
  `Measured on ${cpu}, one thread, Node ${process.versions.node}, by \`OMP_NUM_THREADS=1 node bench/quantization.mjs --seeds ${seeds.length}${options.peer ? " --peer .peers/bin/python" : ""}\`. Seconds are CPU seconds of a search; ModelOpt's are wall seconds.`,
].join("\n\n");
console.log(text);
if (!options.dry) writeSection("results.md", "quantization", text);
