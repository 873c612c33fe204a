/** Memory that forwards keep for the next ones: no page is asked of the system twice, unless it is told to keep none. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundle, runUntil } from "../support/killable";
import { root } from "../support/zoo";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-memory-"));
const script = path.join(folder, "forwards.cjs");

// Its output, 40 MB, is above the most that glibc keeps of its own accord (32 MB).
beforeAll(async () => {
  const source = `
    import { readFileSync } from "node:fs";
    import { setTimeout } from "node:timers/promises";
    import { Module, Tensor } from "../lib";
    const resident = () => Number(/VmRSS:\\s*(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
    (async () => {
      const module = (await Module.load(process.argv[2])).eval();
      const x = Tensor.from(new Float32Array(10_000_000), [10_000_000]);
      const forward = async () => (await module.forward(x)).close();
      for (let i = 0; i < 3; i++) await forward();
      const before = process.resourceUsage().minorPageFault;
      for (let i = 0; i < 4; i++) await forward();
      const faults = (process.resourceUsage().minorPageFault - before) / 4;
      const busy = resident();
      await setTimeout(2500);
      console.log(JSON.stringify({ faults, freed: busy - resident() }));
    })();
  `;
  await bundle(source, { resolveDir: path.join(root, "test"), outfile: script });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function measured(): Promise<{ faults: number; freed: number }> {
  const output = await runUntil(script, [path.join(root, "test", "fixtures", "ioforms", "double.pt")], null);
  return JSON.parse(output as string);
}

// glibc's behaviour, told by Linux's counters.
describe.skipIf(process.platform !== "linux")("memory of tensors", () => {
  it("is kept from one forward to the next, and given back after a second without any", async () => {
    const { faults, freed } = await measured();
    expect(faults).toBeLessThan(1000);
    expect(freed).toBeGreaterThan(30);
  });

  it("is left to LibTorch's allocator by TORCHSEARCH_KEEP_MEMORY=0", async () => {
    process.env.TORCHSEARCH_KEEP_MEMORY = "0";
    try {
      expect((await measured()).faults).toBeGreaterThan(5000);
    } finally {
      delete process.env.TORCHSEARCH_KEEP_MEMORY;
    }
  });
});
