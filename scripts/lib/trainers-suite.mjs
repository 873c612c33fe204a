// The suite `trainers`: subnets that Lightning and transformers' Trainer train, in a Python environment of their own
// (.zoo/trainers, 1 GB), and run in Node afterwards. By name only: it installs what nothing else needs.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { ensureTrainersPython, trainersPython } from "./python.mjs";
import { root, say } from "./run.mjs";

const fixtures = path.join(root, "test", "fixtures");
const examples = path.join(root, "examples", "python");
const command = path.join(root, "dist", "cli", "main.js");

function output(program, args, { cwd, env }) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    env: { GOMP_SPINCOUNT: "1000", ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (status !== 0)
    throw new Error(`${[program, ...args].join(" ")} ended with ${status}:\n${stderr.slice(-3000)}`);
  return stdout;
}

/** The numbers of a line "accuracy 0.9 0.95". */
function accuracies(text) {
  const found = /^accuracy (.*)$/m.exec(text)?.[1];
  if (found === undefined) throw new Error(`no accuracy in:\n${text.slice(-2000)}`);
  return found.split(" ").map(Number);
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** What `profile` says of a file. */
function flopsOf(file, input, place) {
  const text = output(process.execPath, [command, "profile", file, "--input", ...input, "--json"], place);
  return JSON.parse(text).flops;
}

async function accuracyInNode(file, data, keys) {
  const { Module, TensorDataLoader, topKAccuracy } = await import("../../dist/index.mjs");
  const module = await Module.load(file);
  const loader = await TensorDataLoader.fromNpz(data, { keys, batchSize: 100 });
  const inputs = keys.slice(0, -1);
  const pick = (names) => (batch) =>
    names.length === 1 ? batch[names[0]] : names.map((name) => batch[name]);
  const score = topKAccuracy(loader, { collectFunc: pick(inputs), targetFunc: pick(keys.slice(-1)) });
  try {
    return await score(module);
  } finally {
    module.close();
  }
}

async function lightning(place) {
  const digits = path.join(fixtures, "digits.npz");
  copyFileSync(path.join(fixtures, "digits_cnn.pt"), path.join(place.cwd, "classifier.pt"));
  const search = [
    "search",
    "classifier.pt",
    "--data",
    digits,
    "--constraint",
    "flops=40%",
    "--searcher",
    "binary",
  ];
  const arrays = ["--input-array", "train_images", "--target-array", "train_labels", "--max-batches", "2"];
  output(process.execPath, [command, ...search, ...arrays, "--output", "subnet.pt"], place);
  const script = path.join(examples, "lightning_subnet.py");
  const [before, after] = accuracies(
    output(trainersPython, [script, "subnet.pt", digits, "tuned.pt"], place),
  );
  check(after > before, `training by Lightning brought ${before} to ${after}`);
  const tuned = path.join(place.cwd, "tuned.pt");
  const node = await accuracyInNode(tuned, digits, ["test_images", "test_labels"]);
  check(Math.abs(node - after) < 0.003, `accuracy is ${after} in Python and ${node} in Node`);
  check(
    flopsOf("tuned.pt", ["1x1x8x8"], place) <= 0.4 * flopsOf("classifier.pt", ["1x1x8x8"], place),
    "FLOPs",
  );
}

async function trainer(place) {
  const script = path.join(examples, "trainer_encoder.py");
  const [whole] = accuracies(
    output(trainersPython, [script, "make", "encoder.pt", "train.npz", "test.npz"], place),
  );
  const search = [
    "search",
    "encoder.pt",
    "--data",
    "train.npz",
    "--constraint",
    "flops=60%",
    "--searcher",
    "binary",
  ];
  output(process.execPath, [command, ...search, "--max-batches", "4", "--output", "subnet.pt"], place);
  const [, after] = accuracies(
    output(trainersPython, [script, "train", "subnet.pt", "train.npz", "test.npz", "tuned.pt"], place),
  );
  check(after > whole - 0.03, `the encoder had an accuracy of ${whole}, its subnet has ${after}`);
  const data = path.join(place.cwd, "test.npz");
  const node = await accuracyInNode(path.join(place.cwd, "tuned.pt"), data, [
    "input_ids",
    "attention_mask",
    "labels",
  ]);
  check(Math.abs(node - after) < 0.003, `accuracy is ${after} in Python and ${node} in Node`);
}

/** Two tests, one a way of training. */
export async function trainersSuite({ env }) {
  await ensureTrainersPython();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, test] of Object.entries({ lightning, trainer })) {
    const cwd = mkdtempSync(path.join(os.tmpdir(), "torchsearch-trainers-"));
    try {
      await test({ cwd, env });
      counts.passed += 1;
      say(`${name}: passed`);
    } catch (error) {
      counts.failed += 1;
      say(`${name}: FAIL ${error.message}`);
    } finally {
      rmSync(cwd, { recursive: true });
    }
  }
  return counts;
}
