/** examples/quantization.mjs runs, within its budget. Needs dist/. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

import { root } from "../support/zoo";

it("the example runs", { timeout: 300_000 }, async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(root, "examples", "quantization.mjs")],
    { env: { ...process.env, OMP_NUM_THREADS: "1" } },
  );
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1]);
  expect(number(/^Effective bits: ([\d.]+)/m)).toBeLessThanOrEqual(6);
  expect(number(/^Dual gap: ([\d.]+)/m)).toBe(0);
  expect(number(/held-out images: ([\d.]+) %/m)).toBeGreaterThan(98);
});
