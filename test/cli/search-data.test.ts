/** What a search of the command is fed with: folders of images, and data held out of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { crossEntropy, ImageFolderLoader, Module, TensorDataLoader, topKAccuracy } from "../../lib";
import type { SearchOutcome } from "../../lib/cli/search-types";
import { fixture, torchsearch } from "./command";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-data-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const digits = fixture("digits.npz");
const cnn = fixture("hard/simple_cnn.scripted.pt");
const images = fixture("images/classes");

async function search(...args: string[]): Promise<SearchOutcome> {
  const run = await torchsearch(folder, "search", ...args, "--json");
  expect(run.stderr).not.toContain("ERR_");
  expect(run.status).toBe(0);
  return JSON.parse(run.stdout) as SearchOutcome;
}

describe("torchsearch search on a folder of images", () => {
  const SMALL = ["--image-crop", "8", "--image-resize", "9", "--batch-size", "2", "--channel-divisor", "4"];

  it("scores on the images as the loader prepares them", async () => {
    const outcome = await search(
      cnn,
      "--data",
      images,
      ...SMALL,
      "--no-shuffle",
      "--constraint",
      "flops=60%",
    );
    expect(outcome).toMatchObject({ met: true, inputs: [[1, 3, 8, 8]], score: { name: "crossEntropy" } });
    using loader = await ImageFolderLoader.open(images, { crop: 8, resize: 9, batchSize: 2 });
    using subnet = await Module.load(outcome.output);
    expect(outcome.score.after).toBeCloseTo(await crossEntropy(loader)(subnet), 5);
  });

  it("needs no labels, takes settings from a file, and holds batches out", async () => {
    writeFileSync(
      path.join(folder, "search.json"),
      JSON.stringify({
        data: [path.relative(folder, fixture("images/flat"))],
        images: { crop: 8, resize: 8, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
        batchSize: 1,
        channelDivisor: 4,
        constraints: { flops: "70%" },
        holdout: 0.5,
      }),
    );
    const outcome = await search(cnn, "--settings", "search.json");
    expect(outcome.score).toMatchObject({ name: "klDivergence", before: 0 });
    expect(outcome.heldOut).toMatchObject({ samples: 1, accuracy: null });
    expect(outcome.heldOut?.score.after).toBeLessThan(0);
  });

  it("says what is wrong with a folder or a setting", async () => {
    const failed = async (code: string, status: number, ...args: string[]): Promise<void> => {
      const run = await torchsearch(folder, "search", cnn, "--constraint", "flops=60%", "--json", ...args);
      expect(JSON.parse(run.stdout)).toMatchObject({ error: { code } });
      expect(run.status).toBe(status);
    };
    await failed("ERR_DATA_FILE", 1, "--data", folder);
    await failed("ERR_CLI_OPTION", 2, "--data", images, "--image-mean", "1,2");
    await failed("ERR_CLI_OPTION", 2, "--data", images, "--holdout", "20%");
    await failed("ERR_CLI_OPTION", 2, "--data", images, "--holdout", "120%");
  });
});

describe("data held out of a search", () => {
  const QUICK = ["--data", digits, "--channel-divisor", "32", "--constraint", "flops=70%"];

  it("are whole batches that neither scores nor statistics come from", async () => {
    const batches = 11; // of 1,297 samples
    const outcome = await search(
      fixture("digits_resnet.pt"),
      ...QUICK,
      ...["--holdout", "80%", "--batch-size", "128", "--searcher", "random", "--iterations", "3"],
    );
    const options = { keys: ["train_images", "train_labels"], batchSize: 128, shuffle: true, seed: 0 };
    using loader = await TensorDataLoader.fromNpz(digits, options);
    expect(loader.batches).toBe(batches);
    using subnet = await Module.load(outcome.output);
    expect(outcome.score.after).toBeCloseTo(await crossEntropy(loader, { maxBatches: 2 })(subnet), 5);
    const held = Array.from({ length: 9 }, (_, i) => i + 2);
    const accuracy = topKAccuracy(() => held.map((at) => loader.batch(at)));
    expect(outcome.heldOut?.samples).toBe(1297 - 2 * 128);
    expect(outcome.heldOut?.accuracy?.after).toBeCloseTo(await accuracy(subnet), 6);
  });

  it("may be other arrays of the same file, and must be others", async () => {
    const args = [fixture("digits_resnet.pt"), ...QUICK, "--max-batches", "1", "--eval-data", digits];
    const quick = ["--searcher", "random", "--iterations", "3"];
    const outcome = await search(...args, ...quick);
    using test = await TensorDataLoader.fromNpz(digits, { keys: ["test_images", "test_labels"] });
    using subnet = await Module.load(outcome.output);
    expect(outcome.heldOut?.samples).toBe(test.samples);
    expect(outcome.heldOut?.accuracy?.after).toBeCloseTo(await topKAccuracy(test)(subnet), 6);
    const train = ["--eval-input-array", "train_images", "--eval-target-array", "train_labels"];
    const same = await torchsearch(folder, "search", ...args, ...quick, ...train);
    expect(same.status).toBe(2);
    expect(same.stderr).toContain("name others, or use --holdout");
  });
});
