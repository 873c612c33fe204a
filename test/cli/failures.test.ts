/** Every command's failures with `--json`: one document on standard output, a sentence on standard error, the exit code. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { tensorToRaw } from "../../lib/data/raw-tensor";
import { encodeSafetensors, type RawTensor } from "../../lib/data/safetensors";
import { fixture, torchsearch, torchsearchInto } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-failures-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODEL = fixture("digits_resnet.pt");
const DATA = ["--data", fixture("digits.npz")];
const BOUND = ["--constraint", "flops=60%"];

describe("with --json, a failed", { timeout: 60_000 }, () => {
  it.each<[status: number, code: string, args: string[]]>([
    [1, "ERR_FILE_NOT_FOUND", ["search", "nothing.pt", ...DATA, "--constraint", "flops=60%"]],
    [2, "ERR_CLI_OPTION", ["search", MODEL, ...DATA]],
    [2, "ERR_CLI_OPTION", ["search", MODEL, "--no-such-option"]],
    [1, "ERR_FILE_NOT_FOUND", ["resume", "nothing.safetensors"]],
    [1, "ERR_CHECKPOINT_CORRUPT", ["resume", fixture("digits.npz")]],
    [1, "ERR_FILE_NOT_FOUND", ["finetune", "nothing.pt", ...DATA]],
    [2, "ERR_CLI_OPTION", ["finetune", MODEL]],
    [2, "ERR_CLI_OPTION", ["export", MODEL]],
    [1, "ERR_FILE_NOT_FOUND", ["report", "nothing.safetensors"]],
    [1, "ERR_FILE_NOT_FOUND", ["profile", "nothing.pt", "--input", "1x1x8x8"]],
    [2, "ERR_INPUT_SPEC", ["profile", MODEL, "--input", "1xx8"]],
    [1, "ERR_FILE_NOT_FOUND", ["prunable", "nothing.pt", "--input", "1x1x8x8"]],
    [1, "ERR_FILE_NOT_FOUND", ["history", "nothing.pt"]],
    [2, "ERR_INPUT_SPEC", ["profile", MODEL, "--input", "99999999999x1x8x8"]],
    [2, "ERR_PROFILE_OPTION", ["profile", MODEL, "--input", "1x1x8x8", "--repeats", "0"]],
    [2, "ERR_CONFIG_VALUE", ["finetune", MODEL, ...DATA, "--lr", "-1"]],
    [2, "ERR_UNKNOWN_CONFIG_KEY", ["search", MODEL, ...DATA, ...BOUND, "--set", "maxChoice=1"]],
    [2, "ERR_UNKNOWN_CONSTRAINT", ["search", MODEL, ...DATA, "--constraint", "flop=60%"]],
    [2, "ERR_CONSTRAINT_VALUE", ["search", MODEL, ...DATA, "--constraint", "flops=-3"]],
    [2, "ERR_CLI_OPTION", ["doctor", "--no-such-option"]],
    [2, "ERR_CLI_OPTION", ["build", "--no-such-option"]],
    [2, "ERR_CLI_OPTION", ["no-such-command"]],
  ])("command exits with %i, %s: %j", async (status, code, args) => {
    const run = await torchsearch(folder, ...args, "--json");
    const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
    expect({ status: run.status, code: error.code }).toEqual({ status, code });
    // People read it on standard error.
    expect(run.stderr).toContain(error.message.split("\n")[0]);
    expect(run.stderr).not.toMatch(/^\s+at /m);
  });
});

it("names in files don't command the terminal", { timeout: 60_000 }, async () => {
  const data = new Map(
    ["\u001b[2Ja", "b\u009b31m", "c\r\u202e"].map((name): [string, RawTensor] => [
      name,
      { dtype: "F32", shape: [1], bytes: new Uint8Array(4) },
    ]),
  );
  const file = path.join(folder, "escapes.safetensors");
  writeFileSync(file, Buffer.concat(encodeSafetensors(data)));
  const { stderr, stdout } = await torchsearch(folder, "search", MODEL, "--data", file, ...BOUND);
  expect(stderr).toContain("\\u001b[2Ja");
  expect(stderr).toContain("b\\u009b31m");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be printed
  expect(stderr + stdout).not.toMatch(/[\u001b\u009b\r\u202e]/);
});

describe("a settings file that is wrong", { timeout: 60_000 }, () => {
  it.each<[content: string, message: RegExp]>([
    ['{ "sercher": "milp" }', /search\.json: unknown key "sercher": did you mean "searcher"\?/],
    [
      '{ "batchSize": "64" }',
      /search\.json: expected a whole number of at least 1 for batchSize but received "64"/,
    ],
    ['{ "searcher": "bogus" }', /search\.json: expected one of binary, .* for searcher but received "bogus"/],
    ['{ "images": { "cropp": 32 } }', /search\.json: unknown key "images\.cropp": did you mean "crop"\?/],
    [
      '{ "images": { "mean": [0.5] } }',
      /search\.json: expected three numbers for images\.mean but received \[0\.5\]/,
    ],
    ["[1]", /search\.json must hold a JSON object/],
    ["{ searcher: milp }", /search\.json can't be read as JSON/],
  ])("is refused by name, key and what was expected: %s", async (content, message) => {
    writeFileSync(path.join(folder, "search.json"), content);
    const run = await torchsearch(folder, "search", MODEL, ...DATA, "--settings", "search.json", "--json");
    const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
    expect([run.status, error.code]).toEqual([2, "ERR_CLI_OPTION"]);
    expect(error.message).toMatch(message);
  });
});

describe("an earlier name", { timeout: 60_000 }, () => {
  it.each<[args: string[], message: RegExp]>([
    [["search", MODEL, ...DATA, ...BOUND, "--score", "kl"], /"kl" is now "klDivergence"/],
    [
      ["search", MODEL, ...DATA, ...BOUND, "--score", "cross_entropy"],
      /"cross_entropy" is now "crossEntropy"/,
    ],
    [["search", MODEL, ...DATA, ...BOUND, "--score", "mse"], /"mse" is now "meanSquaredError"/],
    [["search", MODEL, ...DATA, ...BOUND, "--config", "x.json"], /--config of search is now --settings/],
    [["finetune", MODEL, ...DATA, "--config", "x.json"], /--config of finetune is now --settings/],
    [["finetune", MODEL, ...DATA, "--subnets", "2"], /--subnets of finetune is now --random-subnets/],
    [["finetune", MODEL, ...DATA, "--loss", "mse"], /"mse" is now "meanSquaredError"/],
    [
      ["prunable", MODEL, "--input", "1x1x8x8", "--divisor", "4"],
      /--divisor of prunable is now --channel-divisor/,
    ],
  ])("is refused, and the present one named: %j", async (args, message) => {
    const run = await torchsearch(folder, ...args, "--json");
    const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
    expect([run.status, error.code]).toEqual([2, "ERR_CLI_OPTION"]);
    expect(error.message).toMatch(message);
  });

  it("in a settings file is refused, too", async () => {
    writeFileSync(path.join(folder, "earlier.json"), JSON.stringify({ score: "cross_entropy" }));
    const run = await torchsearch(folder, "search", MODEL, ...DATA, ...BOUND, "--settings", "earlier.json");
    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/"cross_entropy" is now "crossEntropy"/);
  });
});

describe("data and outputs that can't be", { timeout: 60_000 }, () => {
  const failure = async (
    ...args: string[]
  ): Promise<{ status: number | null; code: string; message: string }> => {
    const run = await torchsearch(folder, ...args, "--json");
    expect(run.stderr).not.toMatch(/^\s+at /m);
    return {
      status: run.status,
      ...(JSON.parse(run.stdout) as { error: { code: string; message: string } }).error,
    };
  };

  it("are told when they have no samples", async () => {
    const [x, y] = [Tensor.from(new Float32Array(0), [0, 1, 8, 8]), Tensor.from(new BigInt64Array(0), [0])];
    const tensors = new Map([
      ["x", tensorToRaw(x)],
      ["y", tensorToRaw(y)],
    ]);
    writeFileSync(path.join(folder, "none.safetensors"), Buffer.concat(encodeSafetensors(tensors)));
    for (const args of [
      ["search", MODEL, ...BOUND],
      ["finetune", MODEL],
    ])
      expect(await failure(...args, "--data", "none.safetensors")).toMatchObject({
        status: 1,
        code: "ERR_DATASET",
        message: expect.stringContaining("no samples") as string,
      });
  });

  it("are refused before the work where an output is a folder", async () => {
    mkdirSync(path.join(folder, "taken.pt"));
    for (const args of [
      ["search", MODEL, ...DATA, ...BOUND],
      ["finetune", MODEL, ...DATA, "--epochs", "1000"],
    ]) {
      const { status, code, message } = await failure(...args, "--output", "taken.pt");
      expect([status, code]).toEqual([1, "ERR_FILE_WRITE"]);
      expect(message).toContain("it is a folder");
    }
  });

  // A FIFO stands for devices: as root, an earlier version put a file in the place of /dev/null.
  it.skipIf(process.platform === "win32")("leave what is no file as it is", async () => {
    const pipe = path.join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const args of [
      ["search", MODEL, ...DATA, ...BOUND, "--output", pipe],
      ["search", MODEL, ...DATA, ...BOUND, "--checkpoint", pipe],
      ["export", MODEL, ...DATA, "--checkpoint", pipe, "--output", "o.pt"],
      ["report", pipe],
    ])
      expect((await failure(...args)).message).toMatch(/not a file/);
    const module = await Module.load(MODEL);
    await expect(module.save(pipe)).rejects.toMatchObject({ code: "ERR_FILE_WRITE" });
    module.close();
    expect(statSync(pipe).isFIFO()).toBe(true);
  });

  it("never have a model deleted that was taken for a checkpoint", async () => {
    const { code, message } = await failure("report", MODEL);
    expect(code).toBe("ERR_CHECKPOINT_CORRUPT");
    expect(message).toContain("Name a file that torchsearch wrote");
    expect(message).not.toMatch(/delete/i);
  });
});

describe.skipIf(process.platform === "win32")("standard output", { timeout: 60_000 }, () => {
  it.each([["search", "--help"], ["profile", MODEL, "--input", "1x1x8x8", "--json"], ["doctor"]])(
    "may be closed by its reader: %s",
    async (...args) => {
      expect(await torchsearchInto(folder, "| true", ...args)).toEqual({ status: 0, stderr: "" });
    },
  );

  it.runIf(process.platform === "linux")("may be a full disk, which is told without a stack", async () => {
    const run = await torchsearchInto(folder, "> /dev/full", "profile", MODEL, "--input", "1x1x8x8");
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^torchsearch: ERR_FILE_WRITE: standard output can't be written: ENOSPC.*\n$/);
  });
});
