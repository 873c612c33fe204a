/**
 * A full disk, a failing disk, no memory: whatever call fails while a file is written, the earlier file stays or the new
 * one is whole, the error has a code, and nothing is left beside it.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundle } from "../support/killable";
import { root } from "../support/zoo";
import type { Tried } from "./program";

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-faults-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let tried: Map<string, Tried>;
let jobs: Map<string, Tried>;
const library = path.join(scratch, "faults.so");

/** Where the addon has the constructor that faults.cpp spares. */
function spared(): string {
  const addon = path.join(root, "build", "Release", "torchsearch.node");
  const symbols = execFileSync("nm", ["-CS", addon], { encoding: "utf8", maxBuffer: 2 ** 28 });
  const found = /^(\w+) (\w+) \w c10::Dict<std.*, c10::List<c10::IValue> >::Dict\(\)$/m.exec(symbols);
  return found === null ? "" : `${found[1]}:${found[2]}`;
}

/** What a program of this folder tried, by target. */
async function runUnder(program: string): Promise<Map<string, Tried>> {
  const script = path.join(scratch, `${program}.cjs`);
  await bundle(`import "./${program}";`, {
    resolveDir: path.join(root, "test", "faults"),
    outfile: script,
    external: ["bindings", "highs", "sharp"],
  });
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    [script, path.join(root, "test", "fixtures"), scratch],
    {
      encoding: "utf8",
      env: {
        ...process.env,
        LD_PRELOAD: library,
        NODE_PATH: path.join(root, "node_modules"),
        TORCHSEARCH_FAULT_SPARED: spared(),
      },
      maxBuffer: 2 ** 26,
    },
  );
  expect({ status, signal }, `${stdout.slice(-2000)}\n${stderr}`).toEqual({ status: 0, signal: null });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return new Map(lines.map((line) => JSON.parse(line) as Tried).map((each) => [each.target, each]));
}

beforeAll(async () => {
  const source = path.join(root, "test", "faults", "faults.cpp");
  execFileSync(process.env.CXX ?? "c++", [
    "-std=c++20",
    "-O1",
    "-shared",
    "-fPIC",
    "-o",
    library,
    source,
    "-ldl",
  ]);
  tried = await runUnder("program");
  jobs = await runUnder("memory");
}, 600_000);

describe.skipIf(process.platform !== "linux")("one call fails while a file is written", () => {
  it.each([
    ["a model", ["open", "write", "full", "fsync", "rename", "object"]],
    ["a search's checkpoint", ["open", "write", "full", "fsync", "rename", "read", "storage", "object"]],
    ["a training's checkpoint", ["open", "write", "full", "fsync", "rename", "read", "storage", "object"]],
    ["a latency table", ["open", "write", "full", "fsync", "rename"]],
    ["a report", ["open", "write", "full", "fsync", "rename"]],
  ])("%s", (target, kinds) => {
    const { failed, faults } = tried.get(target) as Tried;
    expect(faults).toEqual([]);
    // Each kind of call was there to fail.
    for (const kind of kinds) expect(failed[kind], kind).toBeGreaterThan(0);
  });
});

describe.skipIf(process.platform !== "linux")("one allocation fails while a job runs", () => {
  it("ends the job with its code, or not at all, and nothing else", () => {
    expect(
      [...jobs.values()].flatMap(({ target, faults }) => faults.map((fault) => `${target}: ${fault}`)),
    ).toEqual([]);
    expect(jobs.size).toBeGreaterThan(10);
    for (const { target, failed } of jobs.values()) expect(failed.small, target).toBeGreaterThan(2);
  });
});
