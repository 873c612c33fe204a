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
    import { CmaEsSearcher } from "./lib/search/width/cmaes";
    import { TpeSearcher } from "./lib/search/width/tpe";
    import { BinarySearcher } from "./lib/search/width/binary";
    import { EvolveSearcher } from "./lib/search/width/evolve";
    import { GradientSearcher } from "./lib/search/width/gradient";
    import { MilpSearcher } from "./lib/search/width/milp";
    import { ParetoSearcher } from "./lib/search/width/pareto";
    import { RandomSearcher } from "./lib/search/width/random";
    import { chainSpace } from "./test/support/chain-space";
    const [, , name, checkpoint] = process.argv;
    const widths = [4, 8, 12, 16, 20, 24];
    const { space } = chainSpace({ layers: [widths, widths, widths, widths, widths], positions: [64, 16, 16, 16, 4] });
    const scoreFunc = async (model) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return Object.values(model.active).reduce((sum, width, i) => sum + ((i * 7) % 5 + 1) * Math.log(width), 0);
    };
    // Stand for the native parts.
    space.channelScores = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const scores = space.hyperparameters.map(({ name, full }, i) => [name, Array.from({ length: full }, () => (i * 7) % 5 + 1)]);
      return Object.fromEntries(scores);
    };
    space.recalibrate = async () => {};
    const searchers = {
      BinarySearcher: [BinarySearcher, {}],
      MilpSearcher: [MilpSearcher, {}],
      GradientSearcher: [GradientSearcher, { dataLoader: [1] }],
      RandomSearcher: [RandomSearcher, { numIters: 60 }],
      EvolveSearcher: [EvolveSearcher, { numIters: 60, populationSize: 12 }],
      ParetoSearcher: [ParetoSearcher, { numIters: 60, populationSize: 12 }],
      TpeSearcher: [TpeSearcher, { numIters: 60 }],
      CmaEsSearcher: [CmaEsSearcher, { numIters: 60 }],
    };
    // An optimizer of one's own: walks from the best it knows, by the study's random numbers.
    const study = async () => {
      const open = await space.study({ macs: "50%" }, { checkpoint, seed: 4, scoreFunc }).open();
      while (open.told < 60) {
        const { best, random } = open;
        const near = (config) => Object.fromEntries(Object.entries(config).map(([key, width]) => [key, random.chance(0.3) ? random.choice(widths) : width]));
        const first = await open.ask();
        const second = await open.ask(best === null ? undefined : near(best.config));
        open.memory = (open.memory ?? 0) + 1;
        for (const candidate of [first, second]) await open.tell(candidate, await open.score(candidate));
      }
      await open.save();
    };
    const [Searcher, more] = searchers[name] ?? [];
    (name === "Study" ? study() : new Searcher().search(space, { macs: "50%" }, null, { verbose: false, scoreFunc, checkpoint, seed: 4, ...more }))
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

/** How often each is killed: 27 times in all. */
const KILLS = {
  BinarySearcher: 4,
  MilpSearcher: 4,
  GradientSearcher: 2,
  RandomSearcher: 3,
  EvolveSearcher: 4,
  ParetoSearcher: 3,
  TpeSearcher: 2,
  CmaEsSearcher: 2,
  Study: 3,
};

it("there are 27 moments", () => {
  expect(Object.values(KILLS).reduce((sum, count) => sum + count, 0)).toBe(27);
});

it.each(Object.entries(KILLS))("%s, killed %i times", { timeout: 240_000 }, async (name, kills) => {
  const whole = path.join(folder, `${name}-whole.safetensors`);
  const start = performance.now();
  await run(name, whole, null);
  const took = performance.now() - start;
  const straight = await readCheckpoint(whole);
  const random = new Random(name.length);
  let killed = 0;
  let late = 0;
  while (killed < kills) {
    const checkpoint = path.join(folder, `${name}-${killed}-${late}.safetensors`);
    // From before it has begun to just before its end; once more or twice on the same checkpoint.
    const sooner = 0.9 ** late;
    while (killed < kills && (await run(name, checkpoint, sooner * took * (0.2 + 0.7 * random.float())))) {
      killed += 1;
      if (random.chance(0.6)) break;
    }
    await run(name, checkpoint, null);
    const resumed = await readCheckpoint(checkpoint);
    expect(resumed?.state).toEqual(straight?.state);
    expect(resumed?.random).toEqual(straight?.random);
    late += 1;
  }
});
