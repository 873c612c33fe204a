/** From every checkpoint that sparsity, quantization and training write on their way, they end as uninterrupted ones. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";

import type * as atomicFile from "../../../lib/util/atomic-file";
import { runsOver } from "../../support/killable-runs";
import { root } from "../../support/zoo";

/** Where a copy of each file that is written goes; null for nowhere. */
const copies: { prefix: string | null; files: string[] } = vi.hoisted(() => ({ prefix: null, files: [] }));

vi.mock("../../../lib/util/atomic-file", async (original) => {
  const real = await original<typeof atomicFile>();
  const writeFileAtomic: typeof real.writeFileAtomic = async (file, chunks) => {
    await real.writeFileAtomic(file, chunks);
    if (copies.prefix === null) return;
    const copy = `${copies.prefix}-${copies.files.length}`;
    copyFileSync(file, copy);
    copies.files.push(copy);
  };
  return { ...real, writeFileAtomic };
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-resume-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runs = runsOver(path.join(root, "test", "fixtures"));

it.each(Object.keys(runs))("%s", { timeout: 240_000 }, async (name) => {
  const run = runs[name] as (typeof runs)[string];
  copies.prefix = path.join(folder, name);
  copies.files = [];
  const straight = await run(path.join(folder, `${name}.safetensors`), () => {});
  copies.prefix = null;
  expect(copies.files.length).toBeGreaterThan(2);
  // What is measured for each of many layers is much the same for all of them.
  const step = name === "auto_quantize" ? 4 : 1;
  for (let at = 0; at < copies.files.length; at += step) {
    const output = await run(copies.files[at] as string, () => {});
    expect(output, `from checkpoint ${at} of ${copies.files.length}`).toBe(straight);
  }
});
