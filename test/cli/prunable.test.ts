/** `torchsearch prunable`, as a user runs it. What is expected follows from the models' code (scripts/fixtures/models). */
import { spawnSync } from "node:child_process";
import path from "node:path";

import { describe, expect, it } from "vitest";

import type { HyperparameterKind, Prunability } from "../../lib";
import { root } from "../support/zoo";

const fixture = (name: string) => path.join(root, "test", "fixtures", `${name}.pt`);

function prunable(...args: string[]) {
  const command = path.join(root, "dist", "cli", "main.js");
  return spawnSync(process.execPath, [command, "prunable", ...args], { encoding: "utf8" });
}

interface Document extends Prunability {
  model: string;
  hyperparameters: { name: string; kind: HyperparameterKind; full: number; choices: number[] }[];
}

describe("torchsearch prunable", () => {
  it("prints one JSON document: hyperparameters, costs, and what stays whole by reason", () => {
    const { status, stdout, stderr } = prunable(fixture("digits_resnet"), "--input", "1x1x8x8", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const found = JSON.parse(stdout) as Document;
    expect(found.hyperparameters.length).toBeGreaterThan(3);
    for (const { kind, choices, full } of found.hyperparameters) {
      expect(["outChannels", "hiddenWidth", "numHeads", "depth"]).toContain(kind);
      expect(choices.at(-1)).toBe(full);
    }
    expect(found.full.params).toBe(481_386); // as PyTorch counts (digits_resnet.json)
    expect(found.smallest.params).toBeLessThan(found.full.params / 4);
    // Every convolution of a residual network can be narrowed; the ten classes cannot.
    expect(found.narrowableParams).toBeGreaterThan(0.99 * found.full.params);
    expect(found.narrowableParams).toBeLessThan(found.full.params);
    const output = found.whole.find(({ reason }) => reason.includes("output"));
    expect(output?.dimensions).toContainEqual(expect.objectContaining({ dimension: 0, size: 10 }));
    // The classifier's weight can still lose inputs, its bias of ten has nothing to lose.
    expect(output?.lostParams).toBe(10);
    expect(output?.params).toBeGreaterThan(10);
  });

  it("groups for people, and shows as many examples as asked for", () => {
    const few = prunable(fixture("digits_vit"), "--input", "1x1x8x8", "--examples", "1");
    expect(few.status).toBe(0);
    expect(few.stdout).toMatch(/^hyperparameter +kind +full +smallest +choices\n-/);
    expect(few.stdout).toMatch(/^smallest subnet +\d/m);
    expect(few.stdout).toMatch(/^\d+\.\d % of the parameters/m);
    const [, reasons = ""] = few.stdout.split("What stays whole, by reason:\n");
    const titles = reasons.split("\n").filter((line) => /^ {2}\S/.test(line));
    expect(new Set(titles.map((line) => line.split(": ")[0])).size).toBe(titles.length);
    expect(reasons).toContain("head.weight, dimension 0 (10)");
    const all = prunable(fixture("digits_vit"), "--input", "1x1x8x8", "--examples", "1000");
    expect(all.stdout).not.toContain("more (--examples");
    const listed = (text: string) => text.match(/, dimension \d/g)?.length ?? 0;
    expect(listed(all.stdout)).toBeGreaterThan(listed(few.stdout));
  });

  it("follows the divisor", () => {
    const run = prunable(fixture("digits_cnn"), "--input", "1x1x8x8", "--channel-divisor", "5", "--json");
    const { hyperparameters } = JSON.parse(run.stdout) as Document;
    for (const { choices, full } of hyperparameters)
      expect(choices.every((width) => width === full || width % 5 === 0)).toBe(true);
  });

  it("lists only what has several choices, and says how many have one", () => {
    const args = [fixture("digits_resnet"), "--input", "1x1x8x8", "--channel-divisor", "32"];
    const { hyperparameters } = JSON.parse(prunable(...args, "--json").stdout) as Document;
    const fixed = hyperparameters.filter(({ choices }) => choices.length === 1);
    expect(fixed.length).toBeGreaterThan(1);
    expect(fixed.length).toBeLessThan(hyperparameters.length);
    const { stdout } = prunable(...args);
    for (const { name, choices } of hyperparameters)
      expect(
        stdout.split("\n").some((line) => line.startsWith(`${name} `)),
        name,
      ).toBe(choices.length > 1);
    expect(stdout).toContain(`${fixed.length} hyperparameters have only one choice, and aren't listed`);
  });

  it("fails with exit code 1, or 2 for a command that makes no sense, a code and what to change", () => {
    const failed = (code: string, ...args: string[]) => {
      const run = prunable(...args);
      expect(run.status).toBe(["ERR_INPUT_SPEC", "ERR_CONFIG_VALUE"].includes(code) ? 2 : 1);
      expect(run.stderr).toContain(`torchsearch: ${code}: `);
      expect(run.stdout).toBe("");
    };
    failed("ERR_FILE_NOT_FOUND", fixture("nowhere"), "--input", "1x1x8x8");
    failed("ERR_INPUT_SPEC", fixture("digits_cnn"), "--input", "1*1");
    failed("ERR_FORWARD", fixture("digits_cnn"), "--input", "1x3x8x8");
    failed("ERR_CONFIG_VALUE", fixture("digits_cnn"), "--input", "1x1x8x8", "--importance", "l3");
    const json = prunable(fixture("digits_cnn"), "--input", "1x3x8x8", "--json");
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "ERR_FORWARD" } });
  });
});
