/** Every command's failures with `--json`: one document on standard output, a sentence on standard error, the exit code. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { fixture, torchsearch } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-failures-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODEL = fixture("digits_resnet.pt");
const DATA = ["--data", fixture("digits.npz")];

describe("with --json, a failed", { timeout: 60_000 }, () => {
  it.each<[status: number, code: string, args: string[]]>([
    [1, "ERR_FILE_NOT_FOUND", ["search", "nothing.pt", ...DATA, "--constraint", "flops=60%"]],
    [2, "ERR_CLI_OPTION", ["search", MODEL, ...DATA]],
    [2, "ERR_CLI_OPTION", ["search", MODEL, "--no-such-option"]],
    [1, "ERR_CHECKPOINT_READ", ["resume", "nothing.safetensors"]],
    [1, "ERR_CHECKPOINT_CORRUPT", ["resume", fixture("digits.npz")]],
    [1, "ERR_FILE_NOT_FOUND", ["finetune", "nothing.pt", ...DATA]],
    [2, "ERR_CLI_OPTION", ["finetune", MODEL]],
    [2, "ERR_CLI_OPTION", ["export", MODEL]],
    [1, "ERR_CHECKPOINT_READ", ["report", "nothing.safetensors"]],
    [1, "ERR_FILE_NOT_FOUND", ["profile", "nothing.pt", "--input", "1x1x8x8"]],
    [2, "ERR_INPUT_SPEC", ["profile", MODEL, "--input", "1xx8"]],
    [1, "ERR_FILE_NOT_FOUND", ["prunable", "nothing.pt", "--input", "1x1x8x8"]],
    [1, "ERR_FILE_NOT_FOUND", ["history", "nothing.pt"]],
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

describe("a config file that is wrong", { timeout: 60_000 }, () => {
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
    const run = await torchsearch(folder, "search", MODEL, ...DATA, "--config", "search.json", "--json");
    const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
    expect([run.status, error.code]).toEqual([2, "ERR_CLI_OPTION"]);
    expect(error.message).toMatch(message);
  });
});
