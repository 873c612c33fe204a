/** Pipes, devices and folders where a file is named: nothing waits for them, reads them without end, or replaces them. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  finetune,
  ImageFolderLoader,
  LatencyTable,
  Module,
  RandomSearcher,
  type SearchSpace,
  TensorDataLoader,
} from "../../lib";
import { readJson, readSettings } from "../../lib/cli/options/settings";
import { writeReport } from "../../lib/entries/report";
import { digitsInput } from "../support/small-runs";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-special-"));
const fixture = (...names: string[]): string => path.join(root, "test", "fixtures", ...names);
const pipe = path.join(folder, "pipe");
const inside = path.join(folder, "inside");

let module: Module;
let space: SearchSpace;
let data: TensorDataLoader;
beforeAll(async () => {
  execFileSync("mkfifo", [pipe]);
  mkdirSync(inside);
  module = await Module.load(fixture("finetune", "dropout.pt"));
  data = await TensorDataLoader.fromNpz(fixture("finetune", "data.npz"), {
    keys: ["images", "labels"],
    batchSize: 8,
  });
  space = await convert(await Module.load(fixture("digits_cnn.pt")), "fastnas", digitsInput());
});
afterAll(() => {
  for (const made of [data, space, module]) made?.close();
  rmSync(folder, { recursive: true });
});

const search = (checkpoint: string) =>
  new RandomSearcher().search(space, {}, digitsInput(), {
    checkpoint,
    numIters: 1,
    verbose: false,
    scoreFunc: () => 1,
  });

const READS: Record<string, [string, (file: string) => unknown]> = {
  "a model": ["ERR_FILE_READ", (file) => Module.load(file)],
  "sample inputs": ["ERR_FILE_READ", (file) => Module.sampleInputs(file)],
  ".npz": ["ERR_DATA_FILE", (file) => TensorDataLoader.fromNpz(file)],
  ".npy": ["ERR_DATA_FILE", (file) => TensorDataLoader.fromNpy(file)],
  ".npy by name": ["ERR_DATA_FILE", (file) => TensorDataLoader.fromNpy({ images: file })],
  safetensors: ["ERR_DATA_FILE", (file) => TensorDataLoader.fromSafetensors(file)],
  "a latency table": ["ERR_FILE_READ", (file) => LatencyTable.load(file)],
  "a config": ["ERR_CLI_OPTION", (file) => readJson(file)],
  settings: ["ERR_CLI_OPTION", (file) => readSettings("search", file)],
  "a report's checkpoint": ["ERR_CHECKPOINT_READ", (file) => writeReport(file, path.join(folder, "r.html"))],
};

const WRITES: Record<string, [string, (file: string) => unknown]> = {
  "a model": ["ERR_FILE_WRITE", (file) => module.save(file)],
  "a search's checkpoint": ["ERR_CHECKPOINT_WRITE", search],
  "a training's checkpoint": [
    "ERR_CHECKPOINT_WRITE",
    (checkpoint) => finetune(module, data, { steps: 1, checkpoint }),
  ],
};

describe.skipIf(process.platform === "win32")("what is no file", () => {
  const places = { "a pipe": pipe, "a device": "/dev/zero", "a folder": inside };

  it.each(Object.keys(READS))("is refused at once as %s", { timeout: 10_000 }, async (what) => {
    const [code, read] = READS[what] as (typeof READS)[string];
    for (const file of Object.values(places)) await expectCode(code, async () => read(file));
  });

  it.each(Object.keys(READS))(
    "is refused at once as %s of 4 TB without contents",
    { timeout: 20_000 },
    async (what) => {
      const [code, read] = READS[what] as (typeof READS)[string];
      const file = path.join(folder, "sparse");
      writeFileSync(file, "");
      truncateSync(file, 2 ** 42);
      // Of a model only the end is looked at; other files than exported programs have no sample inputs.
      if (what === "sample inputs") expect(await read(file)).toBeNull();
      else await expectCode(what === "a model" ? "ERR_NOT_TORCHSCRIPT" : code, async () => read(file));
    },
  );

  it.each(Object.keys(WRITES))("is not replaced by %s", { timeout: 20_000 }, async (what) => {
    const [code, write] = WRITES[what] as (typeof WRITES)[string];
    for (const file of [pipe, "/dev/zero"]) await expectCode(code, async () => write(file));
    expect([statSync(pipe).isFIFO(), statSync("/dev/zero").isCharacterDevice()]).toEqual([true, true]);
  });

  it("is no image, beside images or alone", { timeout: 20_000 }, async () => {
    const images = path.join(folder, "images", "class");
    mkdirSync(images, { recursive: true });
    copyFileSync(fixture("images", "kinds", "bits.png"), path.join(images, "a.png"));
    execFileSync("mkfifo", [path.join(images, "b.png")]);
    await expectCode("ERR_DATA_FILE", async () => {
      const loader = await ImageFolderLoader.open(path.join(folder, "images"), { resize: 8, crop: 8 });
      for await (const batch of loader) batch.images.close();
    });
    await expectCode("ERR_DATA_FILE", () => ImageFolderLoader.open(pipe));
  });

  it("holds nobody up as a checkpoint's lock", { timeout: 10_000 }, async () => {
    const checkpoint = path.join(folder, "locked.safetensors");
    execFileSync("mkfifo", [`${checkpoint}.lock`]);
    const { message } = await expectCode("ERR_CHECKPOINT_IN_USE", () => search(checkpoint));
    expect(message).toContain(`remove ${checkpoint}.lock`);
  });
});
