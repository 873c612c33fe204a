/** Searches killed with SIGKILL at random moments, and resumed, end as uninterrupted ones. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";

import { readCheckpoint } from "../../lib";
import { Random } from "../../lib/util/random";
import { bundle, runUntil } from "../support/killable";
import { root } from "../support/zoo";

let folder: string;
let script: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-kill-"));
  script = path.join(folder, "search.cjs");
  const source = `
    import { EvolveSearcher } from "./lib/search/evolve";
    import { ParetoSearcher } from "./lib/search/pareto";
    import { RandomSearcher } from "./lib/search/random";
    import { chainSpace } from "./test/support/chain-space";
    const [, , name, checkpoint] = process.argv;
    const widths = [4, 8, 12, 16, 20, 24];
    const { space } = chainSpace({ layers: [widths, widths, widths, widths, widths], positions: [64, 16, 16, 16, 4] });
    const scoreFunc = async (model) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return Object.values(model.active).reduce((sum, width, i) => sum + ((i * 7) % 5 + 1) * Math.log(width), 0);
    };
    const sizes = name === "RandomSearcher" ? {} : { populationSize: 12 };
    const config = { verbose: false, scoreFunc, checkpoint, numIters: 120, seed: 4, ...sizes };
    new { EvolveSearcher, ParetoSearcher, RandomSearcher }[name]().search(space, { macs: "50%" }, null, config)
      .then(() => process.stdout.write("done"));
  `;
  await bundle(source, {
    resolveDir: root,
    outfile: script,
    external: ["vitest", "fast-check", "highs", "bindings"],
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the search in a process of its own; whether it was killed before it was done. */
async function run(name: string, checkpoint: string, killAfter: number | null): Promise<boolean> {
  const wait = killAfter === null ? null : () => sleep(killAfter);
  const output = await runUntil(script, [name, checkpoint], wait);
  if (output !== null) expect(output).toBe("done");
  return output === null;
}

it.each(["RandomSearcher", "EvolveSearcher", "ParetoSearcher"])("%s", { timeout: 240_000 }, async (name) => {
  const whole = path.join(folder, `${name}-whole.safetensors`);
  const start = performance.now();
  await run(name, whole, null);
  const took = performance.now() - start;
  const straight = await readCheckpoint(whole);
  const random = new Random(name.length);
  let killed = 0;
  for (let round = 0; round < 7; round++) {
    const checkpoint = path.join(folder, `${name}-${round}.safetensors`);
    // From before it has begun to just before its end.
    while (await run(name, checkpoint, took * (0.2 + 0.7 * random.float()))) {
      killed += 1;
      if (random.chance(0.6)) break; // resume; else kill it once more
    }
    await run(name, checkpoint, null);
    const resumed = await readCheckpoint(checkpoint);
    expect(resumed?.state).toEqual(straight?.state);
    expect(resumed?.random).toEqual(straight?.random);
  }
  expect(killed).toBeGreaterThanOrEqual(7);
});
