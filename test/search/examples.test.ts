/** Every example of examples/searchers runs, and its subnet meets its budgets. Needs dist/. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

import { WIDTH_SEARCHERS } from "../../lib/mode/width-modes";
import { root } from "../support/zoo";

const folder = path.join(root, "examples", "searchers");
const examples = readdirSync(folder).filter((file) => file.endsWith(".mjs") && file !== "digits-space.mjs");

it("there is one for each searcher", () => {
  const searchers = Object.keys(WIDTH_SEARCHERS).map((name) => `${name}.mjs`);
  expect(examples.sort()).toEqual(searchers.sort());
});

it.each(examples)("%s", { timeout: 300_000 }, async (file) => {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(folder, file)], {
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1]);
  expect(number(/^FLOPs: ([\d.]+) %/m)).toBeLessThanOrEqual(60);
  expect(number(/^FLOPs: ([\d.]+) %/m)).toBeGreaterThan(20);
  expect(number(/^Accuracy on held-out images: ([\d.]+) %/m)).toBeGreaterThan(60);
  if (file === "gradient.mjs") expect(number(/^Parameters: ([\d.]+) %/m)).toBeLessThanOrEqual(60);
  if (file === "milp.mjs") expect(number(/^Parameters: ([\d.]+) %/m)).toBeLessThanOrEqual(50);
});
