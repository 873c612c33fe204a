/** What holds of every searcher that proposes candidates one by one. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type Constraints,
  EvolveSearcher,
  ParetoSearcher,
  type ProgressEvent,
  RandomSearcher,
  readCheckpoint,
  type ScoreFunction,
  type SearchSpace,
  type SpaceMetric,
} from "../../../lib";
import {
  CmaEsSearcher,
  type EvolveSearchState,
  type ParetoSearchState,
  subnetsOf,
  TpeSearcher,
} from "../../../lib/entries/search";
import { allSubnets, type Chain, chainSpace, chains } from "../../support/chain-space";
import { expectCode } from "../../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-iterative-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const SEARCHERS = { RandomSearcher, EvolveSearcher, ParetoSearcher, TpeSearcher, CmaEsSearcher };
type Name = keyof typeof SEARCHERS;

/** The keys of some; which of them there are is a test of its own. */
type AnyState = EvolveSearchState & ParetoSearchState;

/** Small generations, so that there are several. */
const SMALL: Record<Name, object> = {
  RandomSearcher: {},
  EvolveSearcher: { populationSize: 8, candidateSize: 3 },
  ParetoSearcher: { populationSize: 8 },
  TpeSearcher: {},
  CmaEsSearcher: {},
};

const CHAIN: Chain = {
  layers: [
    [4, 8, 12, 16],
    [8, 16, 24, 32],
    [2, 4, 8, 16],
    [8, 16],
  ],
  positions: [64, 64, 16, 16],
};

/** The wider, the better, each layer by its own weight: the optimum under a budget is found by trying all. */
const weighted: ScoreFunction = (model) =>
  Object.values((model as SearchSpace).active).reduce(
    (sum, width, i) => sum + [3, 1, 4, 2][i % 4]! * Math.log(width),
    0,
  );

/** A score without structure. */
function noise(salt: number): ScoreFunction {
  return (model) => {
    const text = `${salt} ${Object.values((model as SearchSpace).active)}`;
    return [...text].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7) / 2 ** 31;
  };
}

async function search(name: Name, constraints: Constraints, config: object = {}, chain: Chain = CHAIN) {
  const { space, native } = chainSpace(chain);
  const searcher = new SEARCHERS[name]();
  const result = await searcher.search(space, constraints, null, {
    verbose: false,
    scoreFunc: weighted,
    numIters: 60,
    ...SMALL[name],
    ...config,
  } as never);
  return { ...result, stateDict: result.stateDict as unknown as AnyState, space, native };
}

function limitsOf(space: SearchSpace, constraints: Record<string, string | null>): [SpaceMetric, number][] {
  return Object.entries(constraints)
    .filter((entry): entry is [SpaceMetric, string] => entry[1] !== null)
    .map(([metric, percent]) => [
      metric,
      (Number.parseInt(percent, 10) / 100) * space.cost(space.fullConfig, metric),
    ]);
}

const percentage = fc.option(
  fc.integer({ min: 1, max: 100 }).map((percent) => `${percent}%` as const),
  { nil: null },
);
const mixes = fc.record({ params: percentage, macs: percentage, flops: percentage, size: percentage });

describe.each(Object.keys(SEARCHERS) as Name[])("%s", (name) => {
  it("has ModelOpt's number of iterations, and refuses bad settings", async () => {
    expect(new SEARCHERS[name]().defaultSearchConfig.numIters).toBe(5000);
    await expectCode("ERR_CONFIG_VALUE", () => search(name, {}, { numIters: 0 }));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () => search(name, {}, { numIter: 3 }));
    await expectCode("ERR_NO_SCORE", () => search(name, {}, { scoreFunc: null }));
    await expectCode("ERR_UNKNOWN_CONSTRAINT", () => search(name, { watts: 3 } as object));
    const { message } = await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => search(name, { macs: "1%" }));
    const { space } = chainSpace(CHAIN);
    expect(message).toContain(String(space.cost(space.smallestConfig, "macs")));
  });

  it("gives a state with the default's keys, the best one selected and exported", async () => {
    const { stateDict, space, native } = await search(
      name,
      { macs: "60%" },
      { dataLoader: [[1], [2], [3]], maxIterDataLoader: 2 },
    );
    expect(Object.keys(stateDict)).toEqual(Object.keys(new SEARCHERS[name]().defaultStateDict));
    expect(space.active).toEqual(stateDict.best?.config);
    expect(native.log.at(-1)).toBe(`export ${native.widths.join(" ")} after 2 batches`);
    expect(stateDict.iteration).toBe(60);
    expect(stateDict.fullCosts).toEqual(space.costs(space.fullConfig));
  });

  it("takes a space without choices", async () => {
    const { stateDict } = await search(name, { macs: "100%" }, {}, { layers: [[4], [8]], positions: [1, 1] });
    expect(stateDict.best?.config).toEqual({ layer0: 4, layer1: 8 });
    expect(stateDict.candidates.scores.length).toBe(1);
  });

  it("finds the optimum of a small space, given time", async () => {
    const { space } = chainSpace(CHAIN);
    const limit = 0.5 * space.cost(space.fullConfig, "macs");
    let best = Number.NEGATIVE_INFINITY;
    for (const config of allSubnets(space)) {
      if (space.cost(config, "macs") > limit) continue;
      space.select(config);
      best = Math.max(best, (await weighted(space)) as number);
    }
    const { stateDict } = await search(name, { macs: "50%" }, { numIters: 600 });
    expect(stateDict.best?.score).toBe(best);
  });

  it("measures no subnet twice, and the best is the best of those that fit", async () => {
    const seen: string[] = [];
    const scoreFunc: ScoreFunction = (model) => {
      seen.push(Object.values((model as SearchSpace).active).join(" "));
      return weighted(model);
    };
    const { stateDict, space } = await search(
      name,
      { params: "50%", macs: "70%" },
      { scoreFunc, numIters: 200 },
    );
    expect(new Set(seen).size).toBe(seen.length);
    const measured = subnetsOf(stateDict.candidates);
    expect(measured.map(({ config }) => Object.values(config).join(" "))).toEqual(seen);
    const limits = limitsOf(space, { params: "50%", macs: "70%" });
    const fitting = measured.filter(({ costs }) =>
      limits.every(([metric, limit]) => costs[metric]! <= limit),
    );
    expect(stateDict.best?.score).toBe(Math.max(...fitting.map(({ score }) => score)));
    for (const { config, costs } of measured) expect(space.costs(config)).toEqual(costs);
  });

  it("meets any mix of constraints, in any space, whatever the scores", async () => {
    await fc.assert(
      fc.asyncProperty(chains(5, 5), mixes, fc.nat(), async (chain, constraints, seed) => {
        const { space } = chainSpace(chain);
        const limits = limitsOf(space, constraints);
        const attempt = () =>
          search(name, constraints, { seed, numIters: 25, scoreFunc: noise(seed) }, chain);
        const least = space.costs(space.smallestConfig);
        if (limits.some(([metric, limit]) => least[metric]! > limit)) {
          await expectCode("ERR_CONSTRAINT_UNREACHABLE", attempt);
          return;
        }
        const { stateDict } = await attempt();
        for (const [metric, limit] of limits) {
          expect(stateDict.best!.costs[metric]).toBeLessThanOrEqual(limit);
          if (name === "ParetoSearcher") continue; // its front spans all costs
          for (const cost of stateDict.candidates.costs[metric]!) expect(cost).toBeLessThanOrEqual(limit);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("is decided by its seed", async () => {
    const run = async (seed: number) => (await search(name, { flops: "60%" }, { seed })).stateDict;
    expect(await run(3)).toEqual(await run(3));
    expect((await run(3)).candidates.widths).not.toEqual((await run(4)).candidates.widths);
  });

  it("resumes at any moment, and ends as if never interrupted", async () => {
    let file = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (breaks, seed) => {
          const config = { seed, numIters: 40, scoreFunc: noise(1) };
          const straight = await search(name, { macs: "60%" }, config);
          const checkpoint = path.join(folder, `${name}-${file++}.safetensors`);
          for (const after of breaks) {
            let calls = 0;
            const failing: ScoreFunction = (model) => {
              if (calls++ === after) throw new Error("power cut");
              return noise(1)(model);
            };
            await search(name, { macs: "60%" }, { ...config, checkpoint, scoreFunc: failing }).catch(
              () => {},
            );
          }
          const resumed = await search(name, { macs: "60%" }, { ...config, checkpoint });
          expect(resumed.stateDict).toEqual(straight.stateDict);
          expect(resumed.native.widths).toEqual(straight.native.widths);
          const saved = await readCheckpoint(checkpoint);
          expect(saved?.state).toEqual(straight.stateDict);
        },
      ),
      { numRuns: 15 },
    );
  });

  it("goes on from a finished search when more iterations are asked for", async () => {
    const checkpoint = path.join(folder, `${name}-more.safetensors`);
    await search(name, { macs: "60%" }, { checkpoint, numIters: 20 });
    const more = await search(name, { macs: "60%" }, { checkpoint, numIters: 50 });
    expect(more.stateDict).toEqual((await search(name, { macs: "60%" }, { numIters: 50 })).stateDict);
  });

  it("measures nothing again for other constraints", async () => {
    const checkpoint = path.join(folder, `${name}-other.safetensors`);
    const first = await search(name, { macs: "90%" }, { checkpoint });
    const known = new Set(subnetsOf(first.stateDict.candidates).map(({ config }) => JSON.stringify(config)));
    const scoreFunc: ScoreFunction = (model) => {
      expect(known).not.toContain(JSON.stringify((model as SearchSpace).active));
      return weighted(model);
    };
    const { stateDict, space } = await search(name, { macs: "40%" }, { checkpoint, scoreFunc });
    expect(stateDict.best!.costs.macs).toBeLessThanOrEqual(0.4 * space.cost(space.fullConfig, "macs"));
  });

  it("stops at once when aborted, and leaves the model usable", async () => {
    const abort = new AbortController();
    const { space, native } = chainSpace(CHAIN);
    const chosen = { layer0: 8, layer1: 16, layer2: 4, layer3: 8 };
    space.select(chosen);
    let scored = 0;
    const scoreFunc: ScoreFunction = () => {
      scored += 1;
      if (scored === 7) abort.abort();
      return scored;
    };
    const config = { verbose: false, scoreFunc, signal: abort.signal, dataLoader: [[1]], ...SMALL[name] };
    const searcher = new SEARCHERS[name]();
    await expectCode("ERR_ABORTED", () => searcher.search(space, { macs: "60%" }, null, config as never));
    expect(scored).toBe(7);
    expect(space.active).toEqual(chosen);
    expect(native.recalibrating).toBe(false);
    const again = await searcher.search(space, { macs: "60%" }, null, {
      ...config,
      signal: null,
      numIters: 5,
    } as never);
    expect(again.stateDict.iteration).toBe(5);
  });

  it("lets the event loop run, even where scores cost nothing", async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const start = performance.now();
    await search(name, { macs: "60%" }, { numIters: 3000, scoreFunc: () => 1 });
    const took = performance.now() - start;
    clearInterval(timer);
    expect(turns).toBeGreaterThan(took / 50);
  });

  it("tells how far it is", async () => {
    const events: ProgressEvent[] = [];
    await search(
      name,
      { macs: "60%" },
      { numIters: 9, onProgress: (event: ProgressEvent) => events.push(event) },
    );
    const steps = events.filter(({ phase }) => phase === "search");
    expect(steps.map(({ done, total }) => [done, total])).toEqual(
      Array.from({ length: 9 }, (_, i) => [i + 1, 9]),
    );
    expect(steps.at(-1)?.details).toMatchObject({ best: expect.any(Number), measured: expect.any(Number) });
  });
});

describe("EvolveSearcher", () => {
  it("has ModelOpt's defaults", () => {
    expect(new EvolveSearcher().defaultSearchConfig).toMatchObject({
      numIters: 5000,
      populationSize: 100,
      candidateSize: 25,
      mutationProb: 0.1,
      minBudgetUse: 0.85,
    });
  });

  it("does better than random search with the same number of measurements", async () => {
    const layers = Array.from({ length: 10 }, () => [4, 8, 12, 16, 20, 24, 28, 32]);
    const chain: Chain = { layers, positions: layers.map(() => 16) };
    for (const seed of [0, 1, 2]) {
      const config = { seed, numIters: 300, populationSize: 30, candidateSize: 8 };
      const evolved = await search("EvolveSearcher", { macs: "50%" }, config, chain);
      const random = await search(
        "RandomSearcher",
        { macs: "50%" },
        { seed, numIters: 300, minBudgetUse: 0.85 },
        chain,
      );
      expect(evolved.stateDict.best!.score).toBeGreaterThan(random.stateDict.best!.score);
    }
  });

  it("uses the budget as far as it is told to", async () => {
    const { stateDict, space } = await search("EvolveSearcher", { macs: "60%" });
    const limit = 0.6 * space.cost(space.fullConfig, "macs");
    let stuck = 0;
    for (const { config, costs } of subnetsOf(stateDict.candidates)) {
      if (costs.macs >= 0.85 * limit) continue;
      // Then no hyperparameter can take its next choice.
      stuck += 1;
      for (const { name, choices } of space.hyperparameters) {
        const wider = choices[choices.indexOf(config[name]!) + 1];
        if (wider !== undefined)
          expect(space.cost({ ...config, [name]: wider }, "macs")).toBeGreaterThan(limit);
      }
    }
    expect(stuck).toBeLessThan(stateDict.candidates.scores.length / 2);
  });

  it("breeds from the best of all generations", async () => {
    const { stateDict } = await search("EvolveSearcher", { macs: "60%" }, { numIters: 64 });
    expect(stateDict.population).toEqual([]);
    const scores = [...stateDict.candidates.scores].sort((a, b) => b - a);
    expect(stateDict.parents.map((row) => stateDict.candidates.scores[row])).toEqual(scores.slice(0, 3));
  });
});

describe("ParetoSearcher", () => {
  it("finds the whole front of a small space, and its best is the front's best within the constraints", async () => {
    const { space } = chainSpace(CHAIN);
    const all: { score: number; macs: number }[] = [];
    for (const config of allSubnets(space)) {
      space.select(config);
      all.push({ score: (await weighted(space)) as number, macs: space.cost(config, "macs") });
    }
    const front = all.filter(
      (a) =>
        !all.some((b) => b.score >= a.score && b.macs <= a.macs && (b.score > a.score || b.macs < a.macs)),
    );
    const { stateDict } = await search(
      "ParetoSearcher",
      { macs: "50%" },
      { numIters: 1500, populationSize: 60 },
    );
    const found = subnetsOf(stateDict.front).map(({ score, costs }) => ({ score, macs: costs.macs }));
    const distinct = [...new Map(front.map((point) => [point.macs, point])).values()];
    expect(found).toEqual(distinct.sort((a, b) => a.macs - b.macs));
    const limit = 0.5 * space.cost(space.fullConfig, "macs");
    const within = front.filter(({ macs }) => macs <= limit);
    expect(stateDict.best?.score).toBe(Math.max(...within.map(({ score }) => score)));
  });

  it("answers for other budgets from the same front, without measuring", async () => {
    const checkpoint = path.join(folder, "front.safetensors");
    const first = await search("ParetoSearcher", { macs: "60%" }, { checkpoint, numIters: 300 });
    const unused: ScoreFunction = () => {
      throw new Error("measured");
    };
    const second = await search(
      "ParetoSearcher",
      { macs: "30%" },
      { checkpoint, numIters: 300, scoreFunc: unused },
    );
    expect(second.stateDict.front).toEqual(first.stateDict.front);
    const limit = 0.3 * second.stateDict.fullCosts!.macs;
    const within = subnetsOf(first.stateDict.front).filter(({ costs }) => costs.macs <= limit);
    expect(second.stateDict.best).toEqual(within.at(-1));
  });

  it("takes the objectives it is given, and names the nearest of an unknown one", async () => {
    const { stateDict } = await search(
      "ParetoSearcher",
      { macs: "60%" },
      { objectives: ["params", "macs"], numIters: 300 },
    );
    expect(stateDict.objectives).toEqual(["params", "macs"]);
    const front = subnetsOf(stateDict.front);
    for (const a of front) {
      for (const b of front) {
        if (a === b) continue;
        const beats = b.score >= a.score && b.costs.params <= a.costs.params && b.costs.macs <= a.costs.macs;
        expect(beats).toBe(false);
      }
    }
    const error = await expectCode("ERR_UNKNOWN_METRIC", () =>
      search("ParetoSearcher", {}, { objectives: ["flop"] }),
    );
    expect(error.message).toContain('"flops"');
  });
});
