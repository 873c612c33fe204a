/**
 * A hundred random models, by the command that tries more (`npm run fuzz:models`): each is converted, and its subnets
 * are held against PyTorch. TORCHSEARCH_FUZZ_SEED chooses others; the seed is printed.
 *
 * Then the models that once broke a promise (random-models.json), held against the same oracles.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { root } from "../support/zoo";

const COUNT = 100;
// The nightly workflow tries new seeds. Here there is one, until 2,000 models in a row had no fault: what a new seed
// finds must not stop an unrelated change.
const seed = process.env.TORCHSEARCH_FUZZ_SEED ?? "4";

interface Summary {
  models: number;
  subnets: number;
  hyperparameters: number;
  invalid: Record<string, number>;
  refused: Record<string, number>;
  refusals: Record<string, number>;
  known?: string[];
  failures: { index: number; kind: string; text: string }[];
}
interface Row {
  name: string;
  right: string;
  tree: object;
}

/** Runs the command, with its progress shown. */
async function fuzz(...args: string[]): Promise<Summary> {
  const script = path.join(root, "scripts", "fuzz-models.mjs");
  const child = spawn(process.execPath, [script, "--as-built", "--json", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  await new Promise((resolve) => child.once("close", resolve));
  return JSON.parse(out) as Summary;
}

describe("random models", () => {
  it(`of seed ${seed} keep every promise`, { timeout: 1_800_000 }, async () => {
    const found = await fuzz("--seed", seed, "--count", String(COUNT), "--jobs", "2", "--shrink", "30");
    const { known = [], refused, refusals } = found;
    console.log(`TORCHSEARCH_FUZZ_SEED=${seed}`, { leftOut: known, refused, refusals });
    expect(found.failures.map(({ text }) => text).join("\n")).toBe("");
    // A generator that makes no models, or models without anything to narrow, would find nothing.
    expect(found.models).toBeGreaterThan(0.9 * COUNT);
    expect(found.hyperparameters).toBeGreaterThan(2 * COUNT);
    expect(found.subnets).toBeGreaterThan(4 * COUNT);
  });
});

describe("models that once broke a promise", () => {
  const file = path.join(root, "test", "fuzz", "random-models.json");
  const rows = JSON.parse(readFileSync(file, "utf8")) as Row[];
  let found: Summary;
  beforeAll(async () => {
    found = await fuzz("--trees", file);
  }, 600_000);
  it("are models still", () => expect([found.models, found.invalid]).toEqual([rows.length, {}]));
  it.each(rows.map(({ name, right }, index) => ({ name, right, index })))("$name: $right", ({ index }) => {
    expect(found.failures.filter((failure) => failure.index === index).map(({ text }) => text)).toEqual([]);
  });
});
