/** `torchsearch search --mode …` beyond widths: sparse weights and number formats, as a user asks for them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SearchOutcome } from "../../lib/cli/search-types";
import { readReportData } from "../../lib/entries/report";
import { runPython } from "../data/python";
import { fixture, interrupted, torchsearch } from "./command";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-modes-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const resnet = fixture("digits_resnet.pt");
const digits = fixture("digits.npz");

async function searched(...args: string[]): Promise<SearchOutcome> {
  const run = await torchsearch(folder, "search", resnet, "--data", digits, ...args, "--json");
  expect(run.stderr).not.toContain("ERR_");
  expect(run.status).toBe(0);
  return JSON.parse(run.stdout) as SearchOutcome;
}

/** By PyTorch: the share of nonzero weights by layer, and the cross-entropy and accuracy on the training images. */
function inPyTorch(file: string): { density: Record<string, number>; score: number; accuracy: number } {
  return runPython(
    `
import json, sys, numpy, torch
model = torch.jit.load(sys.argv[1])
data = numpy.load(sys.argv[2])
x, y = torch.from_numpy(data["train_images"]), torch.from_numpy(data["train_labels"])
density = {n[: -len(".weight")]: (p != 0).float().mean().item() for n, p in model.named_parameters() if p.dim() > 1}
with torch.no_grad():
    out = model(x)
print(json.dumps({
    "density": density,
    "score": -torch.nn.functional.cross_entropy(out, y).item(),
    "accuracy": (out.argmax(1) == y).double().mean().item(),
}))`,
    file,
    digits,
  );
}

describe("--mode sparsegpt", () => {
  it("makes 2:4 weights that PyTorch finds as sparse and as good as the document says", async () => {
    const outcome = await searched("--mode", "sparsegpt", "--exclude", "conv1", "fc", "--output", "s.pt");
    expect(outcome).toMatchObject({ mode: "sparsegpt", searcher: "sparsegpt", bounds: {}, met: true });
    expect(outcome.hyperparameters).toBeUndefined();
    const found = inPyTorch(outcome.output);
    expect(outcome.densities?.length).toBe(14);
    for (const { name, density, error } of outcome.densities ?? []) {
      expect(density).toBe(0.5);
      expect(found.density[name]).toBeCloseTo(0.5, 6);
      expect(error).toBeGreaterThan(0);
    }
    expect(found.density.fc).toBe(1);
    expect(outcome.score.after).toBeCloseTo(found.score, 5);
    expect(outcome.accuracy?.after).toBeCloseTo(found.accuracy, 9);
    expect(outcome.costs.after.density).toBeCloseTo(0.5, 9);

    const report = await readReportData(outcome.checkpoint);
    expect(report.densities.map(({ density }) => density)).toEqual(Array(14).fill(0.5));
    expect(report.full.score).toBe(outcome.score.before);
    const people = await torchsearch(folder, "report", outcome.checkpoint);
    expect(people.status).toBe(0);
  });

  it("is stopped by Ctrl-C, and resumed to the same file", async () => {
    const args = ["search", resnet, "--data", digits, "--mode", "sparsegpt", "--set", "sequential=true"];
    args.push("--batch-size", "16", "--json");
    const whole = await torchsearch(folder, ...args, "--output", "whole.pt");
    const checkpoint = path.join(folder, "cut.search.safetensors");
    const run = await interrupted(folder, [...args, "--output", "cut.pt"], () => existsSync(checkpoint));
    expect(run.status).toBe(130);
    expect(run.seconds).toBeLessThan(5);
    const resumed = await torchsearch(folder, "resume", "cut.search.safetensors", "--json");
    const [first, second] = [whole, resumed].map(({ stdout }) => JSON.parse(stdout) as SearchOutcome);
    expect(second?.densities).toEqual(first?.densities);
    expect(second?.score).toEqual(first?.score);
    const read = (name: string) => readFileSync(path.join(folder, name));
    expect(read("cut.pt").equals(read("whole.pt"))).toBe(true);
  });
});

describe("--mode sparse_magnitude", () => {
  it("keeps the share of all weights that --density says, and tells people", async () => {
    const args = ["--mode", "sparse_magnitude", "--density", "30%", "--set", "scope=global"];
    const run = await torchsearch(
      folder,
      "search",
      resnet,
      "--data",
      digits,
      ...args,
      "--holdout",
      "20%",
      "--output",
      "m.pt",
    );
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/weights kept +100\.0 % +30\.0 %/);
    expect(run.stdout).toMatch(/held out: accuracy/);
    const { density } = inPyTorch(path.join(folder, "m.pt"));
    const shapes = { conv1: 288, fc: 960 };
    expect(density.conv1).toBeGreaterThan(density["layer3.1.conv1"] as number);
    for (const [name, elements] of Object.entries(shapes))
      expect(run.stdout).toMatch(
        new RegExp(`${name} .* ${elements} +${(100 * (density[name] ?? 0)).toFixed(1)} %`),
      );
  });
});

describe("--mode auto_quantize", () => {
  it("keeps to the effective bits, and makes a file that PyTorch scores alike", async () => {
    const args = ["--mode", "auto_quantize", "--constraint", "effectiveBits=6", "--output", "q.pt"];
    const outcome = await searched(...args);
    expect(outcome).toMatchObject({ searcher: "milp", met: true, bounds: { effectiveBits: 6 } });
    const formats = outcome.formats ?? [];
    // The bits of the formats' weights, averaged here.
    const bits: Record<string, number> = { none: 32, int8: 8, int4: 4 };
    const weights = formats.reduce((sum, each) => sum + each.weights, 0);
    const mean =
      formats.reduce((sum, each) => sum + each.weights * (bits[each.format] as number), 0) / weights;
    expect(mean).toBeLessThanOrEqual(6);
    expect(outcome.costs.after.effectiveBits).toBeCloseTo(mean, 9);
    const found = inPyTorch(outcome.output);
    expect(outcome.score.after).toBeCloseTo(found.score, 4);
    expect(outcome.accuracy?.after).toBeCloseTo(found.accuracy, 9);
    const report = await readReportData(outcome.checkpoint);
    expect(report.formats.map(({ selected }) => selected)).toEqual(formats.map(({ format }) => format));
    const history = await torchsearch(folder, "history", "q.pt");
    expect(history.stdout).toContain("auto_quantize");
  });

  it("goes on after Ctrl-C, with formats and a sensitivity from a file, and counts the time of all runs", async () => {
    const settings = {
      data: [digits],
      mode: "auto_quantize",
      modeOptions: { formats: ["int8", "int4_weight_only"], exclude: ["conv1"] },
      constraints: { effectiveBits: 7 },
      searcherOptions: { sensitivity: "klDivergence" },
      batchSize: 8,
    };
    writeFileSync(path.join(folder, "search.json"), JSON.stringify(settings));
    const args = ["search", resnet, "--settings", "search.json", "--json"];
    const whole = await torchsearch(folder, ...args, "--output", "whole.pt");
    const checkpoint = path.join(folder, "cut.search.safetensors");
    const run = await interrupted(folder, [...args, "--output", "cut.pt"], () => existsSync(checkpoint));
    expect(run.status).toBe(130);
    const begun = await readReportData(checkpoint);
    const resumed = await torchsearch(folder, "resume", "cut.search.safetensors", "--json");
    const [first, second] = [whole, resumed].map(({ stdout }) => JSON.parse(stdout) as SearchOutcome);
    expect(second?.formats).toEqual(first?.formats);
    expect(second?.formats?.find(({ name }) => name === "conv1")?.format).toBe("none");
    expect(second?.score).toEqual(first?.score);
    const done = await readReportData(checkpoint);
    expect(begun.seconds).toBeGreaterThan(0);
    expect(done.seconds).toBeGreaterThan(begun.seconds as number);
    expect(second?.seconds).toBe(done.seconds);
  });
});

describe("what a mode has no use for", () => {
  it.each([
    [["--mode", "sparsegpt", "--constraint", "flops=60%"], /sparsegpt has no use for --constraint/],
    [["--mode", "sparsegpt", "--importance", "l2"], /no use for --importance/],
    [
      ["--mode", "sparse_magnitude", "--searcher", "evolve"],
      /has the searchers magnitude, sparsegpt, not evolve/,
    ],
    [["--mode", "sparsegpt", "--pattern", "2:4", "--density", "30%"], /2:4 has its own density/],
    [["--mode", "auto_quantize"], /needs at least one --constraint, such as effectiveBits=6/],
    [
      ["--mode", "auto_quantize", "--pattern", "2:4", "--constraint", "effectiveBits=6"],
      /no use for pattern/,
    ],
    [["--format", "int8", "--constraint", "flops=60%"], /fastnas has no use for formats/],
    [["--mode", "sparsegpt", "--mode-set", "data=1"], /no use for data/],
  ])("%j is refused with exit code 2 before anything is loaded", async (args, message) => {
    const run = await torchsearch(folder, "search", "nothing.pt", "--data", digits, ...args, "--json");
    expect(run.status).toBe(2);
    const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
    expect(error.code).toBe("ERR_CLI_OPTION");
    expect(error.message).toMatch(message);
  });

  it("a checkpoint of theirs is not exported by widths, but resumed", async () => {
    await searched("--mode", "sparse_magnitude", "--output", "m.pt");
    const checkpoint = "m.search.safetensors";
    const run = await torchsearch(folder, "export", resnet, "--checkpoint", checkpoint, "--output", "e.pt");
    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/torchsearch resume m\.search\.safetensors --output/);
    const again = await torchsearch(folder, "resume", checkpoint, "--output", "again.pt");
    expect(again.status).toBe(0);
    const read = (name: string) => readFileSync(path.join(folder, name));
    expect(read("again.pt").equals(read("m.pt"))).toBe(true);
  });
});
