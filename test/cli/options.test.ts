/** How the command reads values, and what it refuses before anything is loaded. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { constraints } from "../../lib/cli/options/kinds";
import { fixture, torchsearch } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-options-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("bounds of latency", () => {
  it.each([
    ["latency=0.2ms", 0.2],
    ["latency=200us", 0.2],
    ["latency=1.5s", 1500],
    ["latency <= 3 ms", 3],
    ["latency=5", 5],
    ["latency=50%", "50%"],
  ])("%s is %s ms", (text, value) => {
    expect(constraints.read(text, undefined)).toEqual({ latency: value });
  });

  it("take units of time only there", () => {
    expect(constraints.read("flops=2M", undefined)).toEqual({ flops: 2e6 });
    expect(constraints.read("flops=2ms", undefined)).toEqual({ flops: "2ms" }); // refused as no number
  });
});

describe("a constraint on what a search maximizes", () => {
  it.each(["accuracy=99%", "acc>=0.9", "top5_accuracy=90%", "score=1", "loss=0.1"])(
    "%s is no cost",
    (text) => {
      expect(() => constraints.read(text.replace(">=", "="), undefined)).toThrow(
        /is no cost.*--searcher pareto/,
      );
    },
  );
});

describe("refused before anything is loaded", { timeout: 120_000 }, () => {
  const text = path.join(os.tmpdir(), "torchsearch-no-model.pt");
  beforeAll(() => writeFileSync(text, "no model at all"));
  afterAll(() => rmSync(text));
  const data = ["--data", fixture("digits.npz")];
  const bound = ["--constraint", "flops=60%"];
  it.each<[string, string[]]>([
    ["takes no number of candidates", ["search", text, ...data, ...bound, "--iterations", "9"]],
    ["unknown config key", ["search", text, ...data, ...bound, "--set", "maxChoice=1"]],
    ["unknown constraint", ["search", text, ...data, "--constraint", "flop=60%"]],
    ["counts labels", ["search", text, ...data, ...bound, "--top-k", "5", "--score", "klDivergence"]],
    ["holds arrays", ["search", text, ...data, ...bound, "--image-gray"]],
    ["not on both", ["finetune", text, ...data, "--holdout", "20%", "--eval-data", fixture("digits.npz")]],
    ["not both", ["finetune", text, ...data, "--epochs", "1", "--steps", "2"]],
    ["belong to a teacher", ["finetune", text, ...data, "--alpha", "0.5"]],
    ['belongs to optimizer "sgd"', ["finetune", text, ...data, "--nesterov"]],
  ])("%s", async (message, args) => {
    const run = await torchsearch(folder, ...args);
    expect(run.stderr).toContain(message);
    expect(run.status).toBe(2);
  });
});
