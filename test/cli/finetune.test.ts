/** `torchsearch finetune` as a user runs it. Needs dist/. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import { convert, Module, Tensor, TensorDataLoader, trainSupernet } from "../../lib";
import type { FinetuneOutcome } from "../../lib/cli/finetune-run";
import { decodeNpz } from "../../lib/data/npz";
import { fixture, interrupted, torchsearch } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-finetune-cli-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const model = fixture("finetune/small.pt");
const data = ["--data", fixture("finetune/data.npz"), "--target-array", "labels", "--batch-size", "8"];

it("trains with a teacher, scores, saves, and prints one JSON document", { timeout: 60_000 }, async () => {
  const { status, stdout, stderr } = await torchsearch(
    folder,
    "finetune",
    model,
    ...data,
    ...["--eval-data", fixture("finetune/data.npz"), "--eval-target-array", "labels"],
    ...[
      "--teacher",
      fixture("finetune/teacher.pt"),
      "--alpha",
      "0.2",
      "--epochs",
      "4",
      "--lr",
      "0.01",
      "--json",
    ],
  );
  expect(stderr).toContain("48 samples in 6 batches");
  expect(status).toBe(0);
  const outcome = JSON.parse(stdout);
  expect(outcome).toMatchObject({ steps: 24, score: { title: "accuracy" } });
  expect(outcome.epochs.map(({ steps }: { steps: number }) => steps)).toEqual([6, 12, 18, 24]);
  expect(outcome.epochs[3].loss).toBeLessThan(outcome.epochs[0].loss);
  expect(outcome.score.after).toBeGreaterThan(outcome.score.before);
  const [before, after] = [
    await Module.load(model),
    await Module.load(path.join(folder, "small.finetuned.pt")),
  ];
  expect(await after.fingerprint()).not.toBe(await before.fingerprint());
  before.close();
  after.close();
});

it(
  "is stopped by Ctrl-C, and the command that it prints goes on to the same end",
  { timeout: 120_000 },
  async () => {
    const long = ["finetune", model, ...data, "--epochs", "40", "--lr", "0.001"];
    const whole = await torchsearch(folder, ...long, "--output", "whole.pt");
    expect(whole.status).toBe(0);
    expect(whole.stdout).toContain("whole.pt");
    const args = [...long, "--output", "stopped.pt"];
    const file = path.join(folder, "stopped.finetune.safetensors");
    const stopped = await interrupted(folder, args, () => existsSync(file));
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toContain("--resume");
    expect(existsSync(path.join(folder, "stopped.pt"))).toBe(false);
    expect((await torchsearch(folder, ...args, "--resume")).status).toBe(0);
    const prints = ["whole.pt", "stopped.pt"].map(async (name) => {
      const module = await Module.load(path.join(folder, name));
      const print = await module.fingerprint();
      module.close();
      return print;
    });
    const [straight, resumed] = await Promise.all(prints);
    expect(resumed).toBe(straight);
  },
);

it("takes .npy files by the names they are given, as a search does", async () => {
  const arrays = await decodeNpz(readFileSync(fixture("digits.npz")), "digits.npz", [
    "test_images",
    "test_labels",
  ]);
  const npy = (name: string, descr: string): string => {
    const { shape, bytes } = arrays.get(name) as { shape: number[]; bytes: Uint8Array };
    const head = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`;
    const header = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${head.padEnd(117)}\n`, "latin1");
    header.writeUInt16LE(header.length - 10, 8);
    writeFileSync(path.join(folder, `${name}.npy`), Buffer.concat([header, bytes]));
    return `${name}.npy`;
  };
  const files = [`x=${npy("test_images", "<f4")}`, `y=${npy("test_labels", "<i8")}`];
  const args = ["finetune", fixture("digits_cnn.pt"), "--data", ...files, "--steps", "1"];
  const run = await torchsearch(folder, ...args);
  expect(run.stderr).toContain("500 samples");
  expect(run.status).toBe(0);
});

it("trains a supernet, which a search then takes", { timeout: 120_000 }, async () => {
  const source = fixture("digits_cnn.pt");
  const digits = ["--data", fixture("digits.npz")];
  const run = await torchsearch(
    folder,
    ...[
      "finetune",
      source,
      ...digits,
      "--supernet",
      "--random-subnets",
      "1",
      "--smallest",
      "50%",
      "--channel-divisor",
      "16",
    ],
    ...["--steps", "3", "--lr", "0.002", "--output", "super.pt", "--json"],
  );
  expect(run.status).toBe(0);
  const { supernet, steps } = JSON.parse(run.stdout) as FinetuneOutcome;
  expect(steps).toBe(3);
  expect(supernet?.search).toMatch(/super\.pt --mode autonas --importance none --channel-divisor 16 --data /);

  // The same from TypeScript ends with the same weights.
  const module = await Module.load(source);
  const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  const space = await convert(module, "autonas", example, { channelDivisor: 16 });
  const loader = await TensorDataLoader.fromNpz(fixture("digits.npz"), {
    keys: ["train_images", "train_labels"],
    batchSize: 32,
  });
  const { smallest } = await trainSupernet(space, loader, {
    randomSubnets: 1,
    smallest: 0.5,
    epochs: null,
    steps: 3,
    learningRate: 0.002,
  });
  expect(supernet?.smallest).toEqual(smallest);
  const saved = await Module.load(path.join(folder, "super.pt"));
  expect(await saved.fingerprint()).toBe(await module.fingerprint());
  for (const each of [saved, loader, space, module, example]) each.close();

  const search = [
    "--mode",
    "autonas",
    "--importance",
    "none",
    "--channel-divisor",
    "16",
    "--max-batches",
    "1",
  ];
  const found = await torchsearch(
    folder,
    ...[
      "search",
      "super.pt",
      ...digits,
      ...search,
      "--searcher",
      "random",
      "--iterations",
      "2",
      "--constraint",
      "flops=90%",
    ],
  );
  expect(found.status).toBe(0);
});

it("refuses options that belong to a supernet, or don't", async () => {
  for (const [args, message] of [
    [["--random-subnets", "3"], "--random-subnets needs --supernet"],
    [["--supernet", "--teacher", model], "--supernet has no use for --teacher"],
  ] as const) {
    const run = await torchsearch(folder, "finetune", model, ...data, ...args);
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining(message) as string });
  }
});

it("takes settings from a file, and lets options go before them", { timeout: 60_000 }, async () => {
  const settings = {
    data: [fixture("finetune/data.npz")],
    targetArray: "labels",
    batchSize: 8,
    epochs: 5,
    learningRate: 0.01,
    output: "from-file.pt",
  };
  writeFileSync(path.join(folder, "finetune.json"), JSON.stringify(settings));
  const args = ["--settings", path.join(folder, "finetune.json"), "--epochs", "1", "--json"];
  const run = await torchsearch(os.tmpdir(), "finetune", model, ...args);
  expect(run.status).toBe(0);
  const outcome = JSON.parse(run.stdout) as FinetuneOutcome;
  expect(outcome).toMatchObject({ steps: 6, output: path.join(folder, "from-file.pt") });
  expect(outcome.epochs[0]?.learningRate).toBeLessThan(0.01);
  writeFileSync(path.join(folder, "finetune.json"), JSON.stringify({ ...settings, learningrate: 1 }));
  const wrong = await torchsearch(folder, "finetune", model, ...args);
  expect(wrong).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('did you mean "learningRate"?') as string,
  });
});

it("says what is wrong with its options", async () => {
  expect((await torchsearch(folder, "finetune", model)).status).toBe(2);
  const wrong = await torchsearch(folder, "finetune", model, ...data, "--lr", "fast");
  expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining("isn't a number") });
  const missing = await torchsearch(folder, "finetune", model, ...data, "--resume", "--output", "none.pt");
  expect(missing).toMatchObject({ status: 1, stderr: expect.stringContaining("does not exist") });
  const targets = await torchsearch(
    folder,
    "finetune",
    model,
    "--data",
    fixture("digits.npz"),
    "--steps",
    "1",
  );
  expect(targets.status).not.toBe(0);
  expect(readFileSync(fixture("finetune/small.pt")).length).toBeGreaterThan(0);
});
