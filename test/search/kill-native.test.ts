/** Sparsity, quantization and training, killed with SIGKILL at random moments and resumed, end as uninterrupted ones. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";

import { Random } from "../../lib/util/random";
import { bundle, runUntil } from "../support/killable";
import { runsOver } from "../support/killable-runs";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const runs = runsOver(fixtures);

let folder: string;
let script: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-kill-native-"));
  script = path.join(folder, "run.cjs");
  const source = `
    import { writeFileSync } from "node:fs";
    import { runsOver } from "./test/support/killable-runs";
    const [, , name, checkpoint] = process.argv;
    runsOver(${JSON.stringify(fixtures)})[name](checkpoint, () => writeFileSync(checkpoint + ".begun", ""))
      .then((text) => process.stdout.write(text));
  `;
  const external = ["highs", "bindings", "sharp", "@observablehq/plot", "linkedom"];
  await bundle(source, { resolveDir: root, outfile: script, external });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** How often each is killed: 20 times in all. */
const KILLS = {
  sparse_magnitude: 2,
  sparsegpt: 4,
  "sparsegpt, sequential": 4,
  auto_quantize: 4,
  finetune: 3,
  trainSupernet: 3,
};

it.each(Object.entries(KILLS))("%s, killed %i times", { timeout: 240_000 }, async (name, kills) => {
  const run = runs[name] as (typeof runs)[string];
  let start = 0;
  const begun = () => {
    start = performance.now();
  };
  const straight = await run(path.join(folder, `${name}-whole.safetensors`), begun);
  const took = performance.now() - start;
  const random = new Random(name.length);
  let killed = 0;
  for (let round = 0; killed < kills; round++) {
    const checkpoint = path.join(folder, `${name}-${round}.safetensors`);
    const killAt = async (hasEnded: () => boolean): Promise<void> => {
      while (!existsSync(`${checkpoint}.begun`) && !hasEnded()) await sleep(1);
      await sleep(0.9 ** round * took * random.float());
    };
    // Once more or twice on the same checkpoint.
    while (killed < kills) {
      rmSync(`${checkpoint}.begun`, { force: true });
      const output = await runUntil(script, [name, checkpoint], killAt);
      if (output !== null) {
        expect(output).toBe(straight);
        break;
      }
      killed += 1;
      if (random.chance(0.6)) break;
    }
    expect(await run(checkpoint, () => {})).toBe(straight);
  }
});
