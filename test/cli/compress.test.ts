/** `torchsearch compress`, as a user runs it. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import { runPython } from "../data/python";
import { fixture, torchsearch } from "./command";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-compress-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const QUICK = ["--target", "flops=60%", "--steps", "1", "--epochs", "1", "--search-batches", "1"];

it("refuses to go on with data that changed under the same path", { timeout: 300_000 }, async () => {
  const data = path.join(folder, "data.npz");
  copyFileSync(fixture("digits.npz"), data);
  const run = () =>
    torchsearch(
      folder,
      "compress",
      fixture("digits_cnn.pt"),
      "--data",
      data,
      "--channel-divisor",
      "16",
      "--output",
      "small.pt",
      ...QUICK,
    );
  const first = await run();
  expect(first.status, first.stderr).toBe(0);
  expect(first.stdout).toContain("small.pt");
  const again = await run();
  expect(again.status, again.stderr).toBe(0);
  runPython(
    `import sys, numpy as np
d = dict(np.load(sys.argv[1])); d["train_images"] = d["train_images"][::-1].copy(); np.savez(sys.argv[1], **d)`,
    data,
  );
  const changed = await run();
  expect(changed.status).toBe(1);
  expect(changed.stderr).toContain("ERR_DATA_CHANGED");
});
