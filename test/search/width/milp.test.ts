/** MilpSearcher against trying every subnet, and against the binary search. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  MilpSearcher,
  type ProgressEvent,
  Random,
  type ScoreFunction,
  type SearchSpace,
  type SpaceMetric,
} from "../../../lib";
import { solveMilp } from "../../../lib/search/solver/highs";
import { costOf, pairwiseCosts } from "../../../lib/search/solver/pairwise-costs";
import { allSubnets, type Chain, chainSpace, chains } from "../../support/chain-space";
import { expectCode } from "../../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-milp-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A score that loses, for each layer, a random amount at each narrower choice: additive over the layers. */
function additive(chain: Chain, seed: number): ScoreFunction {
  const random = new Random(seed);
  const losses = chain.layers.map((choices) => {
    let sum = 0;
    return new Map(
      [...choices].reverse().map((width, i) => {
        if (i > 0) sum += random.chance(0.2) ? 0 : random.integer(1000);
        return [width, sum];
      }),
    );
  });
  return (model) =>
    -Object.values((model as SearchSpace).active).reduce((sum, width, i) => sum + losses[i]!.get(width)!, 0);
}

/** A chain of so many layers with so many choices. */
function longChain(layers: number, choices: number, seed = 0): Chain {
  const random = new Random(seed);
  return {
    layers: Array.from({ length: layers }, () => {
      const step = 2 ** (1 + random.integer(4));
      return Array.from({ length: choices }, (_, c) => (c + 1) * step);
    }),
    positions: Array.from({ length: layers }, () => 4 ** random.integer(4)),
  };
}

type Searcher = typeof MilpSearcher | typeof BinarySearcher;

async function search<S extends Searcher>(
  Class: S,
  chain: Chain,
  constraints: Constraints,
  scoreFunc: ScoreFunction,
  config: object = {},
) {
  const { space, native } = chainSpace(chain);
  const searcher = new Class() as InstanceType<S>;
  const result = await searcher.search(space, constraints, null, {
    verbose: false,
    scoreFunc,
    ...config,
  } as never);
  return {
    stateDict: result.stateDict as Awaited<ReturnType<InstanceType<S>["search"]>>["stateDict"],
    space,
    native,
  };
}

const percentages = fc.option(
  fc.integer({ min: 30, max: 100 }).map((percent) => `${percent}%` as const),
  { nil: null },
);
const mixes = fc.record({ params: percentages, macs: percentages, size: percentages });

describe("MilpSearcher", { timeout: 240_000 }, () => {
  it("finds the best of all subnets, when the score is a sum over layers", async () => {
    let solved = 0;
    await fc.assert(
      fc.asyncProperty(
        chains(5, 4),
        fc.boolean(),
        mixes,
        fc.nat(),
        async (open, gated, constraints, seed) => {
          const chain: Chain = { ...open, gated };
          const scoreFunc = additive(chain, seed);
          const { space } = chainSpace(chain);
          const limits = Object.entries(constraints)
            .filter((entry): entry is [SpaceMetric, `${number}%`] => entry[1] !== null)
            .map(([metric, percent]): [SpaceMetric, number] => [
              metric,
              (Number.parseInt(percent, 10) / 100) * space.cost(space.fullConfig, metric),
            ]);
          const within = (config: Record<string, number>) =>
            limits.every(([metric, limit]) => space.cost(config, metric) <= limit);
          if (!within(space.smallestConfig)) return;
          let best = Number.NEGATIVE_INFINITY;
          for (const config of allSubnets(space)) {
            if (!within(config)) continue;
            space.select(config);
            best = Math.max(best, (await scoreFunc(space)) as number);
          }
          const { stateDict } = await search(MilpSearcher, chain, constraints, scoreFunc);
          expect(stateDict.best!.score).toBe(best);
          expect(within(stateDict.best!.config)).toBe(true);
          expect(stateDict.milp).toMatchObject({ status: "optimal", objective: 0 - best, costError: 0 });
          expect(stateDict.milp!.gap).toBeLessThan(1e-6);
          solved += 1;
        },
      ),
      { numRuns: 24 },
    );
    expect(solved).toBeGreaterThan(8);
  });

  it("is never worse than the binary search under the same sensitivities, also with many layers", async () => {
    let better = 0;
    for (const seed of [1, 2, 3]) {
      const chain = longChain(12, 8, seed);
      const constraints: Constraints = { macs: "60%", params: "50%" };
      const scoreFunc = additive(chain, seed);
      const milp = await search(MilpSearcher, chain, constraints, scoreFunc);
      const binary = await search(BinarySearcher, chain, constraints, scoreFunc);
      expect(milp.stateDict.sensitivity).toEqual(binary.stateDict.sensitivity);
      expect(milp.stateDict.milp!.status).toBe("optimal");
      for (const { config } of binary.stateDict.history) {
        const harm = Object.entries(config).reduce((sum, [name, width]) => {
          const { choices, degradation } = binary.stateDict.sensitivity[name]!;
          return sum + degradation[choices.indexOf(width)]!;
        }, 0);
        expect(milp.stateDict.milp!.objective).toBeLessThanOrEqual(harm);
      }
      expect(milp.stateDict.best!.score).toBeGreaterThanOrEqual(binary.stateDict.best!.score);
      if (milp.stateDict.best!.score > binary.stateDict.best!.score) better += 1;
    }
    expect(better).toBeGreaterThan(0);
  });

  it("is never worse than the binary search when scores do not add up either", async () => {
    await fc.assert(
      fc.asyncProperty(chains(4, 4), fc.nat(), async (chain, salt) => {
        const noise: ScoreFunction = (model) => {
          const text = `${salt} ${Object.values((model as SearchSpace).active)}`;
          return [...text].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 7);
        };
        const { space } = chainSpace(chain);
        const bound = 0.7 * space.cost(space.fullConfig, "macs");
        if (space.cost(space.smallestConfig, "macs") > bound) return;
        const milp = await search(MilpSearcher, chain, { macs: bound }, noise);
        const binary = await search(BinarySearcher, chain, { macs: bound }, noise);
        expect(milp.stateDict.best!.score).toBeGreaterThanOrEqual(binary.stateDict.best!.score);
        expect(milp.stateDict.best!.costs.macs).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 15 },
    );
  });

  it("meets the constraints and does no worse where costs are not of the form it can state", async () => {
    for (const seed of [1, 2, 3]) {
      const chain = { ...longChain(6, 4, seed), gated: "bent" as const };
      const scoreFunc = additive(chain, seed);
      for (const percent of ["30%", "70%"] as const) {
        const constraints: Constraints = { macs: percent, params: percent };
        const milp = await search(MilpSearcher, chain, constraints, scoreFunc);
        const binary = await search(BinarySearcher, chain, constraints, scoreFunc);
        expect(milp.stateDict.milp!.costError).toBeGreaterThan(0);
        expect(milp.stateDict.best!.score).toBeGreaterThanOrEqual(binary.stateDict.best!.score);
        const full = milp.stateDict.fullCosts!;
        const share = Number.parseInt(percent, 10) / 100;
        for (const metric of ["macs", "params"] as const)
          expect(milp.stateDict.best!.costs[metric]).toBeLessThanOrEqual(share * full[metric]);
      }
    }
  });

  it("gives the full model without constraints", async () => {
    const chain = longChain(4, 3);
    const { stateDict, space } = await search(MilpSearcher, chain, {}, additive(chain, 1));
    expect(stateDict.best?.config).toEqual(space.fullConfig);
    expect(stateDict.milp).toEqual({ status: "optimal", objective: 0, bound: 0, gap: 0, costError: 0 });
  });

  it("takes a space without choices, and one where narrowing does no harm", async () => {
    const fixed = { layers: [[4], [8]], positions: [1, 1] };
    const alone = await search(MilpSearcher, fixed, { macs: "100%" }, () => 1);
    expect(alone.stateDict.best?.config).toEqual({ layer0: 4, layer1: 8 });
    const harmless = await search(MilpSearcher, longChain(3, 3), { macs: "50%" }, () => 1);
    expect(harmless.stateDict.milp).toMatchObject({ status: "optimal", objective: 0, bound: 0, gap: 0 });
    expect(harmless.stateDict.best!.costs.macs).toBeLessThanOrEqual(0.5 * harmless.stateDict.fullCosts!.macs);
  });

  it("leaves the event loop free while the solver works, and tells of it", async () => {
    const chain = longChain(24, 10, 5);
    let last = performance.now();
    let longest = 0;
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const phases = new Set<string>();
    const onProgress = ({ phase }: ProgressEvent) => phases.add(phase);
    const { stateDict } = await search(MilpSearcher, chain, { macs: "55%" }, additive(chain, 5), {
      onProgress,
      timeLimit: 5,
    });
    clearInterval(timer);
    expect(stateDict.milp!.gap).toBeLessThan(0.2);
    expect(longest).toBeLessThan(500); // on a busy machine; the solver takes seconds
    expect([...phases]).toContain("solve");
  });

  it("gives what it found when the time runs out, with the gap", async () => {
    const chain = longChain(40, 16, 6);
    const { stateDict } = await search(
      MilpSearcher,
      chain,
      { macs: "55%", params: "45%" },
      additive(chain, 6),
      { timeLimit: 0.2 },
    );
    expect(stateDict.milp!.status).toBe("limit");
    expect(stateDict.milp!.gap).toBeGreaterThan(0);
    expect(stateDict.milp!.bound).toBeLessThan(stateDict.milp!.objective);
    expect(stateDict.best!.costs.macs).toBeLessThanOrEqual(0.55 * stateDict.fullCosts!.macs);
  });

  it("stops the solver when aborted", async () => {
    const chain = longChain(40, 16, 7);
    const abort = new AbortController();
    const { space } = chainSpace(chain);
    space.select(space.smallestConfig);
    const start = performance.now();
    await expectCode("ERR_ABORTED", () =>
      new MilpSearcher().search(space, { macs: "55%", params: "45%" }, null, {
        verbose: false,
        scoreFunc: additive(chain, 7),
        signal: abort.signal,
        onProgress: ({ phase }) => {
          if (phase === "solve") abort.abort();
        },
      }),
    );
    expect(performance.now() - start).toBeLessThan(30_000);
    expect(space.active).toEqual(space.smallestConfig);
  });

  it("resumes at any moment, and ends as if never interrupted", async () => {
    const chain = longChain(4, 4);
    const constraints: Constraints = { macs: "60%", params: "70%" };
    const score = additive(chain, 3);
    const straight = await search(MilpSearcher, chain, constraints, score);
    const total = 1 + 4 * 3 + straight.stateDict.history.length;
    for (let broken = 0; broken < total; broken += 2) {
      const checkpoint = path.join(folder, `broken-${broken}.safetensors`);
      let calls = 0;
      const failing: ScoreFunction = (model) => {
        if (calls++ === broken) throw new Error("power cut");
        return score(model);
      };
      await expectCode("ERR_SCORE_FAILED", () =>
        search(MilpSearcher, chain, constraints, failing, { checkpoint }),
      );
      const resumed = await search(MilpSearcher, chain, constraints, score, { checkpoint });
      expect(resumed.stateDict).toEqual(straight.stateDict);
      expect(resumed.native.widths).toEqual(straight.native.widths);
    }
  });

  it("refuses bad settings and unreachable bounds before anything is scored", async () => {
    const chain = longChain(3, 3);
    const score: ScoreFunction = () => {
      throw new Error("scored");
    };
    await expectCode("ERR_CONFIG_VALUE", () => search(MilpSearcher, chain, {}, score, { gap: -1 }));
    await expectCode("ERR_CONFIG_VALUE", () => search(MilpSearcher, chain, {}, score, { timeLimit: 0 }));
    await expectCode("ERR_CONSTRAINT_UNREACHABLE", () =>
      search(MilpSearcher, chain, { macs: "0.1%" }, score),
    );
  });
});

describe("pairwiseCosts", () => {
  it("takes costs apart exactly: layers into products, what else there is into tables", async () => {
    await fc.assert(
      fc.asyncProperty(chains(6, 5), fc.boolean(), async (open, gated) => {
        const { space } = chainSpace({ ...open, gated });
        const metrics = ["macs", "params", "size"] as const;
        const costs = await pairwiseCosts(space, metrics, null);
        expect(costs.error).toBe(0);
        const random = new Random(1);
        for (let i = 0; i < 10; i++) {
          const config = space.sample(random);
          for (const metric of metrics)
            expect(costOf(costs, config, metric)).toBeCloseTo(space.cost(config, metric), 6);
        }
        if (gated) return;
        const products = await pairwiseCosts(space, ["macs", "params"], null);
        for (const pair of products.pairs) {
          expect(pair.second).toBe(pair.first + 1); // only neighbours share a layer
          expect(pair.product).not.toBeNull();
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("solveMilp", () => {
  const options = { gap: 0, timeLimit: null, start: null, signal: null, onProgress: null };

  it("solves a knapsack", async () => {
    // Weights 5 4 3, values 10 7 4, room for 7: the second and third (11) beat the first (10).
    const rows = [{ at: [0, 1, 2], values: [5, 4, 3], lower: Number.NEGATIVE_INFINITY, upper: 7 }];
    const program = { costs: [-10, -7, -4], integer: [true, true, true], rows };
    const { status, x, objective, bound } = await solveMilp(program, options);
    expect({ status, objective }).toEqual({ status: "optimal", objective: -11 });
    expect(x).toEqual([0, 1, 1]);
    expect(bound).toBeCloseTo(-11, 6);
  });

  it("says when there is no solution, and when the program makes no sense", async () => {
    const rows = [{ at: [0], values: [1], lower: 2, upper: 3 }];
    expect(await solveMilp({ costs: [1], integer: [true], rows }, options)).toMatchObject({
      status: "infeasible",
      x: null,
    });
    await expectCode("ERR_SOLVER", () =>
      solveMilp({ costs: [Number.NaN], integer: [true], rows: [] }, options),
    );
    await expectCode("ERR_ABORTED", () =>
      solveMilp({ costs: [1], integer: [true], rows }, { ...options, signal: AbortSignal.abort() }),
    );
  });
});
