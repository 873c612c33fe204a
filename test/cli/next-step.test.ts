/** What a search says of its outcome: noise, the command that trains the result, files and latency, undershot bounds. */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module } from "../../lib";
import { shareNoise, standardError } from "../../lib/cli/comparison";
import type { FinetuneOutcome } from "../../lib/cli/finetune-run";
import { argumentsFor } from "../../lib/cli/options/written";
import type { SearchOutcome } from "../../lib/cli/search-types";
import { undershot } from "../../lib/cli/undershoot";
import { runPython } from "../data/python";
import { chainSpace } from "../support/chain-space";
import { fixture, torchsearch } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-next-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const resnet = fixture("digits_resnet.pt");
const digits = fixture("digits.npz");
const QUICK = ["--data", digits, "--channel-divisor", "32", "--max-batches", "2", "--set", "maxChoices=1"];

async function searched(...args: string[]): Promise<SearchOutcome> {
  const run = await torchsearch(folder, "search", resnet, ...QUICK, ...args, "--json");
  expect(run.stderr).not.toContain("ERR_");
  expect(run.status).toBe(0);
  return JSON.parse(run.stdout) as SearchOutcome;
}

describe("a search that harms a model", { timeout: 300_000 }, () => {
  it("ends with the command that trains it, on what was not held out, which works as printed", async () => {
    const args = ["--constraint", "flops=25%", "--holdout", "20%", "--output", "harmed.pt"];
    const outcome = await searched(...args);
    const { accuracy, heldOut, measured } = outcome;
    // By the definition of the binomial distribution, over 2 batches of 64, and over what was held out.
    const noise = (p: number, q: number, n: number) => Math.sqrt((p * (1 - p)) / n + (q * (1 - q)) / n);
    const { before, after } = accuracy as { before: number; after: number };
    expect(accuracy?.noise).toBeCloseTo(noise(before, after, 128), 12);
    expect(heldOut?.samples).toBe(1297 - 17 * 64);
    expect(before - after).toBeGreaterThan(accuracy?.noise as number);
    expect(measured.fileBytes).toEqual({
      before: statSync(resnet).size,
      after: statSync(outcome.output).size,
    });
    expect(measured.latency.after).toBeGreaterThan(0);
    expect(outcome.simulated).toBe(false);

    const { next } = outcome as { next: string[] };
    expect(next.slice(0, 2)).toEqual(["finetune", "harmed.pt"]);
    expect(next.join(" ")).toContain("--holdout 20% --batch-size 64");
    const run = await torchsearch(folder, ...next.slice(0, -1), "1", "--json");
    expect(run.stderr).toContain("1088 samples in 17 batches");
    expect(run.status).toBe(0);
    const trained = JSON.parse(run.stdout) as FinetuneOutcome;
    expect(trained.score?.before).toBeCloseTo(heldOut?.accuracy?.after as number, 12);
    expect(trained.score?.after).toBeGreaterThan(trained.score?.before as number);

    const shown = await torchsearch(folder, "resume", "harmed.search.safetensors");
    expect(shown.stdout).toMatch(/fell: -\d+\.\d points, more than its noise \(± \d/);
    expect(shown.stdout.trimEnd().split("\n").at(-1)).toContain(next.join(" "));

    // The history says what happened to the file.
    const history = await torchsearch(folder, "history", trained.output, "--json");
    const records = (JSON.parse(history.stdout) as { history: { mode: string; result: object }[] }).history;
    expect(records.map(({ mode }) => mode)).toEqual(["fastnas", "finetune"]);
    expect(records[1]?.result).toMatchObject({ steps: 17, epochs: 1 });
  });

  it("trains at once with --finetune-epochs", async () => {
    const args = [
      "--constraint",
      "flops=25%",
      "--holdout",
      "20%",
      "--finetune-epochs",
      "1",
      "--output",
      "t.pt",
    ];
    const outcome = await searched(...args);
    expect(outcome.next).toBeNull();
    expect(outcome.finetuned).toEqual({ output: path.join(folder, "t.finetuned.pt"), epochs: 1 });
    const { accuracy } = outcome.heldOut as NonNullable<SearchOutcome["heldOut"]>;
    expect(accuracy?.finetuned).toBeGreaterThan(accuracy?.after as number);
    expect(existsSync(path.join(folder, "t.training.safetensors"))).toBe(false);
    const tuned = await Module.load(outcome.finetuned?.output as string);
    expect(tuned.history.map(({ mode }) => mode)).toEqual(["fastnas", "finetune"]);
    tuned.close();
  });

  it("says why a bound is far undershot", async () => {
    const { undershot: far } = await searched("--constraint", "flops=100%", "params=60%", "--output", "u.pt");
    expect(far.find(({ metric }) => metric === "flops")?.why ?? "").toMatch(
      /params leaves no room|choices are coarse|scored lower|measured no candidate/,
    );
  });
});

describe("a format that is only simulated", { timeout: 300_000 }, () => {
  it("is called so, beside the file's own size", async () => {
    const args = ["--mode", "auto_quantize", "--constraint", "effectiveBits=8", "--max-batches", "1"];
    const run = await torchsearch(folder, "search", resnet, "--data", digits, ...args);
    expect(run.stdout).toContain(
      "Simulated: the file stays as large, and runs no faster, until a runtime uses the format.",
    );
    expect(run.stdout).toMatch(/^size if stored so /m);
    expect(run.stdout).not.toMatch(/^size {2}/m);
    const bytes = statSync(path.join(folder, "digits_resnet.auto_quantize.pt")).size;
    expect(run.stdout).toMatch(new RegExp(`^file size .* ${(bytes / 2 ** 20).toPrecision(4)} MiB `, "m"));
  });
});

describe("export --config", { timeout: 300_000 }, () => {
  it("takes the example and the settings from a checkpoint", async () => {
    await searched("--constraint", "flops=60%", "--output", "e.pt");
    writeFileSync(path.join(folder, "w.json"), JSON.stringify({ "layer3.0.conv1": 64 }));
    const args = ["--config", "w.json", "--checkpoint", "e.search.safetensors", "--output", "w.pt", "--json"];
    const run = await torchsearch(folder, "export", resnet, ...args);
    expect(run.stderr).not.toContain("ERR_");
    const { config, recalibrated } = JSON.parse(run.stdout) as {
      config: Record<string, number>;
      recalibrated: boolean;
    };
    expect(config).toMatchObject({ "layer3.0.conv1": 64, "layer2.0.conv1": 64 });
    expect(recalibrated).toBe(true);
  });
});

describe("standard errors", () => {
  it("are those of numpy", () => {
    const values = [0.3, -0.1, 0.25, 0.7, 0.01];
    const right = runPython<number>(
      "import json, sys, numpy as np\nv = json.loads(sys.argv[1])\nprint(float(np.std(v, ddof=1) / np.sqrt(20)))",
      JSON.stringify(values),
    );
    expect(standardError(values, 20)).toBeCloseTo(right, 14);
    expect(shareNoise(0.5, 0.5, 200)).toBeCloseTo(0.05, 14);
    expect(shareNoise(1, 1, 10)).toBe(0);
  });
});

describe("a bound that is undershot", () => {
  const { space } = chainSpace({
    layers: [
      [8, 32],
      [8, 32],
    ],
    positions: [1, 1],
  });
  const costs = (config: Record<string, number>) => space.costs(config);
  const small = { layer0: 8, layer1: 8 };

  it("by coarse choices, by another bound, by the scores, or for want of anything to cut", () => {
    const macs = (config: Record<string, number>) => costs(config).macs;
    const why = (config: Record<string, number>, bounds: Record<string, number>, state: object = {}) =>
      undershot(space, config, bounds, state as never, "a smaller divisor").map((each) => each.why);
    const between = macs(small) + 1;
    expect(why(small, { macs: between })).toEqual([]);
    const coarse = Math.min(macs({ layer0: 32, layer1: 8 }), macs({ layer0: 8, layer1: 32 })) - 1;
    expect(why(small, { macs: coarse })).toEqual([expect.stringMatching(/coarse.*a smaller divisor/)]);
    const { params } = costs(small);
    expect(why(small, { macs: macs(space.fullConfig) - 1, params: params + 1 })).toEqual([
      "params leaves no room for more",
    ]);
    expect(why(small, { macs: macs(space.fullConfig) - 1 })).toEqual([
      "the search measured no candidate within it that takes more",
    ]);
    const history = [{ costs: costs({ layer0: 32, layer1: 8 }) }];
    expect(why(small, { macs: macs(space.fullConfig) - 1 }, { history })).toEqual([
      "the one measured candidate within it that takes more scored lower",
    ]);
    expect(why(space.fullConfig, { macs: 2 * macs(space.fullConfig) })).toEqual([
      expect.stringMatching(/full model itself is within it/),
    ]);
  });
});

describe("settings as arguments", () => {
  it("are those that differ from the defaults, with paths of this folder", () => {
    const images = { crop: 32, mean: [0.1, 0.2, 0.3], gray: true };
    const data = [path.resolve("a b.npz"), `y=${path.resolve("y.npy")}`];
    expect(
      argumentsFor("finetune", {
        data,
        holdout: 0.15,
        shuffle: false,
        epochs: 3,
        batchSize: 32,
        images,
        dtype: null,
      }),
    ).toEqual(
      [
        "--data",
        "a b.npz",
        "y=y.npy",
        "--holdout",
        "15%",
        "--no-shuffle",
        "--image-crop",
        "32",
        "--image-gray",
      ].concat(["--image-mean", "0.1,0.2,0.3", "--epochs", "3"]),
    );
  });
});
