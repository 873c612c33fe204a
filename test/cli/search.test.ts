/** `torchsearch search`, `resume` and `export`, as a user runs them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { parseHTML } from "linkedom";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Module, profile, readCheckpoint, Tensor, TensorDataLoader, topKAccuracy } from "../../lib";
import type { SearchOutcome } from "../../lib/cli/search-types";
import { type Checkpoint, writeCheckpoint } from "../../lib/contract/checkpoint";
import { runPython } from "../data/python";
import { root } from "../support/zoo";
import { fixture, interrupted, torchsearch } from "./command";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-search-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const resnet = fixture("digits_resnet.pt");
const digits = fixture("digits.npz");
/** A search of seconds: few widths, one batch. */
const QUICK = ["--data", digits, "--channel-divisor", "32", "--max-batches", "1"];

function outcomeOf(run: { stdout: string; stderr: string; status: number | null }): SearchOutcome {
  expect(run.stderr).not.toContain("ERR_");
  expect(run.status).toBe(0);
  return JSON.parse(run.stdout) as SearchOutcome;
}

describe("torchsearch search", () => {
  it("saves a subnet within the constraints that is what the document says", async () => {
    const args = [
      "search",
      resnet,
      ...QUICK,
      "--constraint",
      "flops=60%",
      "params=70%",
      "--output",
      "best.pt",
    ];
    const outcome = outcomeOf(await torchsearch(folder, ...args, "--json"));
    expect(outcome.met).toBe(true);
    expect(outcome.costs.before.params).toBe(481_386); // as PyTorch counts (digits_resnet.json)
    expect(outcome.output).toBe(path.join(folder, "best.pt"));

    const subnet = await Module.load(outcome.output);
    const full = await Module.load(resnet);
    const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const metrics = ["params", "flops"] as const;
    const [after, before] = [
      await profile(subnet, input, { metrics }),
      await profile(full, input, { metrics }),
    ];
    expect(after.flops).toBeLessThanOrEqual(0.6 * before.flops);
    expect(after.params).toBeLessThanOrEqual(0.7 * before.params);
    expect(outcome.costs.after).toMatchObject({ flops: after.flops, params: after.params });
    expect(outcome.inputs).toEqual([[1, 1, 8, 8]]);

    // The accuracy it tells, measured here on the same batches.
    const loader = await TensorDataLoader.fromNpz(digits, {
      keys: ["train_images", "train_labels"],
      shuffle: true,
      seed: 0,
    });
    const accuracy = topKAccuracy(loader, { maxBatches: 1 });
    expect(outcome.score.name).toBe("crossEntropy");
    expect(outcome.accuracy?.after).toBe(await accuracy(subnet));
    expect(outcome.accuracy?.before).toBe(await accuracy(full));
    for (const each of [subnet, full, loader]) each.close();

    const checkpoint = await readCheckpoint(outcome.checkpoint);
    expect(checkpoint?.searcher).toBe("BinarySearcher");
    expect(checkpoint?.settings.annotations).toMatchObject({
      command: [...args, "--json"],
      versions: { node: process.version },
      after: { score: outcome.score.after },
    });
  });

  it("tells people the same in a table, without colours or bars where there is no terminal", async () => {
    const run = await torchsearch(folder, "search", resnet, ...QUICK, "--constraint", "flops=60%");
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/^FLOPs +11\.43 M +\d\.\d+ M +\d+\.\d %$/m);
    expect(run.stdout).toMatch(/^flops <= 60\.0 % of the full model: \d+\.\d %, met$/m);
    expect(run.stdout).toContain(path.join(folder, "digits_resnet.subnet.pt"));
    expect(existsSync(path.join(folder, "digits_resnet.subnet.pt"))).toBe(true);
    for (const drawn of ["\x1b", "█", "░"]) expect(run.stdout + run.stderr).not.toContain(drawn);
    expect(run.stderr.split("\n").length).toBeLessThan(5);
  });

  it.each([
    ["evolve", ["--iterations", "8", "--set", "populationSize=4", "candidateSize=2"]],
    ["random", ["--iterations", "8"]],
    ["pareto", ["--iterations", "8", "--set", "populationSize=4"]],
    ["milp", ["--set", "maxChoices=1"]],
  ])("searches by %s", async (searcher, more) => {
    const args = [...QUICK, "--constraint", "macs=70%", "--searcher", searcher, ...more, "--json"];
    const outcome = outcomeOf(await torchsearch(folder, "search", resnet, ...args));
    expect(outcome.met).toBe(true);
    expect(outcome.costs.after.macs).toBeLessThanOrEqual(0.7 * (outcome.costs.before.macs as number));
    const checkpoint = await readCheckpoint(outcome.checkpoint);
    if (searcher !== "milp") expect(checkpoint?.state.iteration).toBe(8);
  });

  it("takes settings from a file, relative to which its paths are, and lets options go before them", async () => {
    const settings = {
      constraints: { flops: "90%" },
      searcher: "random",
      searcherOptions: { numIters: 3 },
      channelDivisor: 32,
      maxBatches: 1,
      output: "from-file.pt",
    };
    const file = path.join(folder, "settings.json");
    writeFileSync(file, JSON.stringify(settings));
    const args = ["--settings", file, "--data", digits, "--score", "accuracy", "--constraint", "flops=60%"];
    const outcome = outcomeOf(await torchsearch(os.tmpdir(), "search", resnet, ...args, "--json"));
    expect(outcome).toMatchObject({
      searcher: "random",
      output: path.join(folder, "from-file.pt"),
      score: { name: "accuracy" },
      accuracy: null,
    });
    expect(outcome.bounds.flops).toBe(0.6 * (outcome.costs.before.flops as number));
    writeFileSync(file, JSON.stringify({ sercher: "random" }));
    const wrong = await torchsearch(folder, "search", resnet, ...args);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain('unknown key "sercher": did you mean "searcher"?');
  });

  it("reads .npy files, by position", async () => {
    const script = `
import numpy as np, os
os.chdir(${JSON.stringify(folder)})
with np.load(${JSON.stringify(digits)}) as data:
    np.save("a.npy", data["train_images"][:200])
    np.save("b.npy", data["train_labels"][:200])
`;
    runPython(script);
    const args = [
      "--data",
      "a.npy",
      "b.npy",
      "--constraint",
      "flops=60%",
      "--channel-divisor",
      "32",
      "--json",
    ];
    const outcome = outcomeOf(await torchsearch(folder, "search", resnet, ...args, "--set", "maxChoices=1"));
    expect(outcome.score.name).toBe("crossEntropy");
    expect(outcome.accuracy?.before).toBeGreaterThan(0.95);
  });
});

describe("an interrupted search", { timeout: 240_000 }, () => {
  it.each([
    ["binary", []],
    ["random", ["--iterations", "25"]],
  ])("by %s stops soon, says how to go on, and ends as an uninterrupted one", async (searcher, more) => {
    const args = ["search", resnet, "--data", digits, "--max-batches", "1", "--constraint", "flops=60%"];
    args.push("--channel-divisor", "16", "--searcher", searcher, ...more, "--json");
    const whole = outcomeOf(await torchsearch(folder, ...args, "--output", "whole.pt"));
    const checkpoint = path.join(folder, "cut.search.safetensors");
    const run = await interrupted(folder, [...args, "--output", "cut.pt"], () => existsSync(checkpoint));
    expect(run.status).toBe(130);
    expect(run.seconds).toBeLessThan(5);
    expect(existsSync(path.join(folder, "cut.pt"))).toBe(false);
    const told = JSON.parse(run.stdout) as { error: { code: string; resume: string } };
    expect(told.error.code).toBe("ERR_ABORTED");
    expect(run.stderr).toContain(told.error.resume);
    expect(told.error.resume).toMatch(/ resume cut\.search\.safetensors$/);

    const resumed = outcomeOf(await torchsearch(folder, ...told.error.resume.split(" ").slice(2), "--json"));
    expect(resumed.hyperparameters).toEqual(whole.hyperparameters);
    expect(resumed.score).toEqual(whole.score);
    const read = (name: string) => readFileSync(path.join(folder, name));
    expect(read("cut.pt").equals(read("whole.pt"))).toBe(true);
  });

  it("that has saved nothing yet says so", async () => {
    const args = ["search", resnet, ...QUICK, "--constraint", "flops=60%"];
    const run = await interrupted(folder, args, (stderr) => stderr.includes("samples in"));
    expect(run.status).toBe(130);
    expect(run.stderr).toMatch(/start again with\n {2}.* search .*--constraint flops=60%$|continue with/m);
    expect(run.stdout).toBe("");
  });
});

describe("torchsearch export", () => {
  it("saves what a search found, again, and widths that a file gives", async () => {
    const found = outcomeOf(
      await torchsearch(folder, "search", resnet, ...QUICK, "--constraint", "flops=60%", "--json"),
    );
    const again = await torchsearch(
      folder,
      "export",
      resnet,
      "--checkpoint",
      found.checkpoint,
      "--output",
      "again.pt",
    );
    expect(again.stdout).toContain("again.pt");
    expect(again.status).toBe(0);
    expect(readFileSync(path.join(folder, "again.pt")).equals(readFileSync(found.output))).toBe(true);

    const fitted = ["--checkpoint", found.checkpoint, "--reconstruct", "--output", "fitted.pt", "--json"];
    const better = await torchsearch(folder, "export", resnet, ...fitted);
    expect(better.status).toBe(0);
    const { reconstructedLayers } = JSON.parse(better.stdout) as { reconstructedLayers: number };
    expect(reconstructedLayers).toBeGreaterThan(0);
    const fit = await Module.load(path.join(folder, "fitted.pt"));
    expect(fit.history.at(-1)?.result.reconstructedLayers).toBe(reconstructedLayers);
    fit.close();

    const narrowed = found.hyperparameters?.[0] as { name: string };
    writeFileSync(path.join(folder, "widths.json"), JSON.stringify({ [narrowed.name]: 16 }));
    const args = ["--config", "widths.json", "--input", "1x1x8x8", "--output", "one.pt", "--json"];
    const run = await torchsearch(folder, "export", resnet, "--channel-divisor", "16", ...args);
    expect(run.status).toBe(0);
    const { config, recalibrated } = JSON.parse(run.stdout) as {
      config: Record<string, number>;
      recalibrated: boolean;
    };
    expect(config[narrowed.name]).toBe(16);
    expect(recalibrated).toBe(false);
    const blind = await torchsearch(folder, "export", resnet, "--reconstruct", ...args);
    expect(blind.status).toBe(2);
    expect(blind.stderr).toContain("give --data");
    const module = await Module.load(path.join(folder, "one.pt"));
    const weight = module.namedParameters().find(({ name }) => name === `${narrowed.name}.weight`);
    expect(weight?.tensor.shape[0]).toBe(16);
    module.close();
  });

  it("refuses another model's checkpoint", async () => {
    const found = outcomeOf(
      await torchsearch(folder, "search", resnet, ...QUICK, "--constraint", "flops=60%", "--json"),
    );
    const args = ["--checkpoint", found.checkpoint, "--output", "x.pt"];
    const run = await torchsearch(folder, "export", fixture("digits_cnn.pt"), ...args);
    expect(run.status).toBe(1);
    expect(run.stderr).toContain("ERR_CHECKPOINT_MODEL");
  });
});

describe("what can't be done", () => {
  const BOUND = ["--constraint", "flops=60%"];
  it.each<[string, number, string, string[]]>([
    ["no constraint", 2, "ERR_CLI_OPTION", [resnet, "--data", digits]],
    ["no data", 2, "ERR_CLI_OPTION", [resnet, ...BOUND]],
    ["an unreadable constraint", 2, "ERR_CLI_OPTION", [resnet, "--data", digits, "--constraint", "flops"]],
    ["an unknown option", 2, "unknown option '--constrain'", [resnet, "--constrain", "flops=60%"]],
    ["an unknown searcher", 2, "'binry' is invalid", [resnet, ...BOUND, "--searcher", "binry"]],
    ["data of an unknown kind", 2, "ERR_CLI_OPTION", [resnet, ...BOUND, "--data", resnet]],
    ["a missing model", 1, "ERR_FILE_NOT_FOUND", ["nowhere.pt", ...BOUND, "--data", digits]],
    ["missing data", 1, "ERR_FILE_NOT_FOUND", [resnet, ...BOUND, "--data", "nowhere.npz"]],
    [
      "a missing array",
      1,
      "ERR_DATA_KEYS",
      [resnet, ...BOUND, "--data", digits, "--input-array", "pictures"],
    ],
    [
      "an unreachable constraint",
      1,
      "the smallest reachable",
      [resnet, ...QUICK, "--constraint", "flops=1%"],
    ],
    ["an unknown constraint", 2, "ERR_UNKNOWN_CONSTRAINT", [resnet, ...QUICK, "--constraint", "flop=60%"]],
    ["an unknown key", 2, "ERR_UNKNOWN_CONFIG_KEY", [resnet, ...QUICK, ...BOUND, "--set", "maxChoice=1"]],
  ])("%s ends with exit code %i and says what to change", async (_, status, message, args) => {
    const run = await torchsearch(folder, "search", ...args);
    expect(run.stderr).toContain(message);
    expect(run.stdout).toBe("");
    expect(run.status).toBe(status);
  });

  it("keeps scores that were measured otherwise apart", async () => {
    const args = ["search", resnet, ...QUICK, ...BOUND, "--set", "maxChoices=1"];
    expect((await torchsearch(folder, ...args)).status).toBe(0);
    const other = await torchsearch(folder, ...args, "--score", "accuracy");
    expect(other.status).toBe(1);
    expect(other.stderr).toContain("ERR_CLI_CHECKPOINT");
    expect(other.stderr).toContain("another score");
    // Other constraints are welcome: they use what is measured.
    expect((await torchsearch(folder, ...args, "--constraint", "flops=80%")).status).toBe(0);
  });

  it("resumes a checkpoint that spells its request as an earlier version did", async () => {
    const args = ["search", resnet, ...QUICK, ...BOUND, "--set", "maxChoices=1", "--output", "e.pt"];
    const first = outcomeOf(await torchsearch(folder, ...args, "--json"));
    const rewrite = async (score: unknown): Promise<void> => {
      const checkpoint = (await readCheckpoint(first.checkpoint)) as Checkpoint;
      const annotations = checkpoint.settings.annotations as { request: Record<string, unknown> };
      annotations.request.score = score;
      await writeCheckpoint(first.checkpoint, checkpoint);
    };
    await rewrite("cross_entropy");
    const named = outcomeOf(await torchsearch(folder, ...args, "--score", "crossEntropy", "--json"));
    expect(named.score).toEqual(first.score);
    await rewrite("cross_entropy");
    const resumed = outcomeOf(await torchsearch(folder, "resume", "e.search.safetensors", "--json"));
    expect(resumed.score).toEqual(first.score);
    expect(resumed.hyperparameters).toEqual(first.hyperparameters);
    await rewrite("perplexity");
    const refused = await torchsearch(folder, "resume", "e.search.safetensors", "--json");
    expect(refused.status).toBe(1);
    const { error } = JSON.parse(refused.stdout) as { error: { code: string; message: string } };
    expect(error.code).toBe("ERR_CLI_CHECKPOINT");
    expect(error.message).toMatch(/for score but received "perplexity".*start it anew/);
  });

  it("resumes no file that is no search of the command", async () => {
    writeFileSync(path.join(folder, "x.safetensors"), "nothing");
    expect((await torchsearch(folder, "resume", "x.safetensors")).stderr).toContain("ERR_CHECKPOINT_CORRUPT");
    const missing = await torchsearch(folder, "resume", "y.safetensors", "--json");
    expect(missing.status).toBe(1);
    expect(JSON.parse(missing.stdout)).toMatchObject({ error: { code: "ERR_FILE_NOT_FOUND" } });
  });
});

describe("torchsearch report", () => {
  it("explains a search in one file beside its checkpoint", async () => {
    const args = ["--constraint", "flops=60%", "--searcher", "random", "--iterations", "5", "--json"];
    const found = outcomeOf(
      await torchsearch(folder, "search", resnet, ...QUICK, ...args, "--output", "r.pt"),
    );
    const run = await torchsearch(folder, "report", "r.search.safetensors");
    expect(run).toMatchObject({ status: 0, stderr: "" });
    const file = path.join(folder, "r.search.html");
    expect(run.stdout).toBe(`Wrote the report ${file}\n`);
    const { document } = parseHTML(readFileSync(file, "utf8"));
    expect(document.querySelector("h1")?.textContent).toBe("Search report: digits_resnet.pt");
    expect(document.querySelectorAll("svg.plane g.candidates > *").length).toBe(5);
    expect(document.querySelectorAll("svg.plane g.full-model > *").length).toBe(1);
    // Not those inside a block that is left out: they have no effect.
    const all = found.hyperparameters ?? [];
    const gone = all.filter(({ kind, selected }) => kind === "depth" && selected === 0);
    const there = all.filter(
      ({ name, kind }) =>
        kind === "depth" || !gone.some((block) => name.startsWith(block.name.replace(/depth$/, ""))),
    );
    expect(document.querySelectorAll("svg.widths g.widths > *").length).toBe(there.length);
    const page = document.querySelector("main")?.textContent ?? "";
    for (const fact of [found.versions.libtorch, process.version, "−cross-entropy", "--constraint flops=60%"])
      expect(page).toContain(fact);
    const json = await torchsearch(
      folder,
      "report",
      "r.search.safetensors",
      "--output",
      "other.html",
      "--json",
    );
    const told = JSON.parse(json.stdout) as {
      best: { score: number; accuracy: number };
      measurements: unknown[];
    };
    expect(told.measurements.length).toBe(5);
    expect(told.best).toMatchObject({ score: found.score.after, accuracy: found.accuracy?.after });
    expect(existsSync(path.join(folder, "other.html"))).toBe(true);
  });
});

describe("docs/cli.md", () => {
  it("has every command, option and setting as the command itself has them", async () => {
    const documentation = readFileSync(path.join(root, "docs", "cli.md"), "utf8");
    const { stdout } = await torchsearch(folder, "--help");
    const names = [...stdout.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1] as string);
    expect(names).toEqual(
      expect.arrayContaining(["search", "resume", "export", "report", "profile", "prunable", "doctor"]),
    );
    for (const name of names.filter((each) => each !== "help")) {
      expect(documentation).toContain(`torchsearch ${name}`);
      const help = await torchsearch(folder, name, "--help");
      expect(documentation, "run `node scripts/cli-reference.mjs`").toContain(
        `### torchsearch ${name}\n\n\`\`\`text\n${help.stdout.trim()}\n\`\`\``,
      );
    }
    const check = spawnSync(process.execPath, [path.join(root, "scripts", "cli-reference.mjs"), "--check"], {
      encoding: "utf8",
    });
    expect(check.stderr).toBe("");
  });
});
