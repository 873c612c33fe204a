/** examples/supernet.mjs: subnets of the digits ResNet are better after supernet training. Needs dist/. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

import { root } from "../support/zoo";

it("subnets at 50 % FLOPs score clearly better after one epoch", { timeout: 300_000 }, async () => {
  const args = [path.join(root, "examples", "supernet.mjs"), "--epochs", "1", "--subnets", "6"];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  const numbers = (when: string) => {
    const found = new RegExp(
      `^${when}: mean ([\\d.]+) %, worst ([\\d.]+) %, cross-entropy ([\\d.]+)`,
      "m",
    ).exec(stdout);
    return (found ?? []).slice(1).map(Number) as [mean: number, worst: number, loss: number];
  };
  const [mean, worst, loss] = numbers("Before");
  const [meanAfter, worstAfter, lossAfter] = numbers("After");
  expect(meanAfter).toBeGreaterThan(mean + 2);
  expect(worstAfter).toBeGreaterThan(worst + 10);
  expect(lossAfter).toBeLessThan(loss / 2);
});
