/** TPE and CMA-ES: their formulas against Optuna's and the package cmaes', and their behaviour against published one. */
import { readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { RandomSearcher, type ScoreFunction, type SearchSpace } from "../../../lib";
import { CmaEsSearcher, TpeSearcher } from "../../../lib/entries/search";
import { CmaEs, cmaState, populationOf } from "../../../lib/search/width/cma";
import { choicesOf, withMargin } from "../../../lib/search/width/cma-margin";
import { ParzenEstimator } from "../../../lib/search/width/parzen";
import { normalCdf, normalQuantile } from "../../../lib/util/normal";
import { Random } from "../../../lib/util/random";
import { chainSpace } from "../../support/chain-space";
import { root } from "../../support/zoo";

interface ParzenCase {
  sizes: number[];
  categorical: boolean[];
  observations: number[][];
  points: number[][];
  logDensities: number[];
}

interface CmaCase {
  sizes: number[];
  sigma: number;
  population: number;
  generations: {
    points: number[][];
    choices: number[][];
    mean: number[];
    sigma: number;
    covariance: number[];
    scale: number[];
  }[];
}

const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "samplers.json"), "utf8")) as {
  parzen: ParzenCase[];
  cma: CmaCase[];
  evaluations: Record<string, number>;
};

const dimensionsOf = ({ sizes, categorical }: Pick<ParzenCase, "sizes" | "categorical">) =>
  sizes.map((size, i) => ({ size, categorical: categorical[i] as boolean }));

/** Every point of a grid. */
function* grid(sizes: readonly number[]): Generator<number[]> {
  const count = sizes.reduce((product, size) => product * size, 1);
  for (let n = 0; n < count; n++) {
    let rest = n;
    yield sizes.map((size) => {
      const at = rest % size;
      rest = Math.floor(rest / size);
      return at;
    });
  }
}

function closeTo(actual: ArrayLike<number>, wanted: readonly number[], digits: number): void {
  expect(actual.length).toBe(wanted.length);
  wanted.forEach((value, i) => {
    expect(actual[i]).toBeCloseTo(value, digits);
  });
}

describe("the normal distribution", () => {
  // From tables: Abramowitz and Stegun, "Handbook of Mathematical Functions", tables 26.1 and 26.5.
  it.each([
    [0, 0.5],
    [1, 0.841344746068543],
    [-2, 0.022750131948179],
    [3.5, 0.999767370920964],
    [-5, 2.86651571879194e-7],
  ])("has the probability of at most %s", (x, p) => {
    expect(normalCdf(x)).toBeCloseTo(p, 14);
    expect(normalQuantile(p)).toBeCloseTo(x, 8);
  });
});

describe("the Parzen estimator", () => {
  it.each(oracle.parzen.map((one) => [one.observations.length, one.sizes.join(" x "), one] as const))(
    "has Optuna's densities, of %s observations of %s",
    (_, __, one) => {
      const estimator = new ParzenEstimator(dimensionsOf(one), one.observations);
      closeTo(
        one.points.map((point) => estimator.logDensity(point)),
        one.logDensities,
        9,
      );
    },
  );

  it("is a distribution: densities sum to 1, and draws are as frequent as they say", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 5 }), categorical: fc.boolean() }), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.nat(),
        fc.nat({ max: 40 }),
        (dimensions, seed, count) => {
          const random = new Random(seed);
          const observations = Array.from({ length: count }, () =>
            dimensions.map(({ size }) => random.integer(size)),
          );
          const estimator = new ParzenEstimator(dimensions, observations);
          const drawn = new Map<string, number>();
          const draws = 2000;
          for (let i = 0; i < draws; i++) {
            const key = estimator.sample(random).join();
            drawn.set(key, (drawn.get(key) ?? 0) + 1 / draws);
          }
          let sum = 0;
          for (const point of grid(dimensions.map(({ size }) => size))) {
            const p = Math.exp(estimator.logDensity(point));
            sum += p;
            // Six standard errors; the sum of a certain choice's parts may exceed 1 by a rounding.
            const error = 6 * Math.sqrt((p * Math.max(0, 1 - p)) / draws) + 1 / draws;
            expect(Math.abs((drawn.get(point.join()) ?? 0) - p)).toBeLessThan(error);
          }
          expect(sum).toBeCloseTo(1, 9);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe("CMA-ES", () => {
  it.each(oracle.cma.map((one) => [one.sizes.join(" x "), one] as const))(
    "moves as the package cmaes does, over %s choices",
    (_, { sizes, sigma, population, generations }) => {
      const cma = new CmaEs(cmaState(new Float64Array(sizes.length).fill(0.5), sigma), sizes, population);
      generations.forEach((after, at) => {
        expect(after.points.map((point) => choicesOf(point, cma.state, sizes))).toEqual(after.choices);
        cma.update(after.points.map((point) => Float64Array.from(point)));
        closeTo(cma.state.covariance, after.covariance, 9);
        // In later steps the path of the step size is in the frame of the Cholesky factor: of the same length but for the
        // parts that it remembers.
        if (at > 0) {
          expect(cma.state.sigma / after.sigma).toBeGreaterThan(0.95);
          expect(cma.state.sigma / after.sigma).toBeLessThan(1.05);
          return;
        }
        closeTo([cma.state.sigma], [after.sigma], 9);
        closeTo(cma.state.mean, after.mean, 9);
        closeTo(cma.state.scale, after.scale, 9);
      });
    },
  );

  /** The choices, from 0 to 1, stand for numbers from -50 to 50. */
  const SPAN = 100;

  /** Evaluations until a value of at most 1e-9, from a mean of 3 and a step size of 1; many choices, so no margin. */
  function evaluations(f: (x: readonly number[]) => number, n: number, seed: number): number {
    const sizes = new Array<number>(n).fill(2 ** 50);
    const lambda = populationOf(n);
    const cma = new CmaEs(cmaState(new Float64Array(n).fill(0.5 + 3 / SPAN), 1 / SPAN), sizes, lambda);
    const random = new Random(seed);
    for (let count = lambda; count < 100_000; count += lambda) {
      const ranked = Array.from({ length: lambda }, () => cma.draw(random))
        .map((point) => ({ point, value: f([...point].map((x) => SPAN * (x - 0.5))) }))
        .sort((a, b) => a.value - b.value);
      if ((ranked[0]?.value ?? 1) <= 1e-9) return count;
      cma.update(ranked.map(({ point }) => point));
    }
    return Number.POSITIVE_INFINITY;
  }

  const square = (x: number): number => x * x;
  const sphere = (x: readonly number[]): number => x.reduce((sum, value) => sum + square(value), 0);
  const rosenbrock = (x: readonly number[]): number =>
    x
      .slice(1)
      .reduce(
        (sum, b, i) => sum + 100 * square(b - square(x[i] as number)) + square((x[i] as number) - 1),
        0,
      );
  const median = (list: number[]): number =>
    list.sort((a, b) => a - b)[Math.floor(list.length / 2)] as number;

  it.each(Object.entries(oracle.evaluations))(
    "minimizes %s in about as many evaluations, %s",
    (name, wanted) => {
      const [title, n] = name.split(" ") as ["sphere" | "rosenbrock", string];
      const counts = Array.from({ length: 21 }, (_, seed) =>
        evaluations({ sphere, rosenbrock }[title], Number(n), seed),
      );
      expect(median(counts) / wanted).toBeGreaterThan(0.8);
      expect(median(counts) / wanted).toBeLessThan(1.25);
    },
  );

  it("keeps every neighbouring choice within reach", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 30 }), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.double({ min: 1e-9, max: 0.5, noNaN: true }),
        (sizes, seed, sigma) => {
          const random = new Random(seed);
          const state = cmaState(
            sizes.map(() => random.float()),
            sigma,
          );
          const alpha = 1 / (sizes.length * populationOf(sizes.length));
          const before = choicesOf(state.mean, state, sizes);
          withMargin(state, sizes, alpha);
          expect(choicesOf(state.mean, state, sizes)).toEqual(before);
          sizes.forEach((size, i) => {
            const at = before[i] as number;
            const below = (edge: number): number =>
              normalCdf(
                ((edge + 0.5) / (size - 1) - (state.mean[i] as number)) /
                  (sigma * (state.scale[i] as number)),
              );
            const [low, high] = [at > 0 ? below(at - 1) : 0, at < size - 1 ? 1 - below(at) : 0];
            if (at === 0 || at === size - 1) expect(low + high).toBeGreaterThan(0.99 * alpha);
            else expect(Math.min(low, high)).toBeGreaterThan(0.99 * (alpha / 3));
          });
        },
      ),
    );
  });
});

/** Layers that must agree: the score is the number of neighbours that are equal. No single layer shows it. */
const agreeing: ScoreFunction = (model) => {
  const widths = Object.values((model as SearchSpace).active);
  return widths.reduce((sum, width, i) => sum + Number(i > 0 && width === widths[i - 1]) + width / 1000, 0);
};

/** The wider, the better, each layer by its own weight, under one budget. */
const weighted: ScoreFunction = (model) =>
  Object.values((model as SearchSpace).active).reduce(
    (sum, width, i) => sum + (((i * 7) % 5) + 1) * Math.log(width),
    0,
  );

describe.each([
  ["TpeSearcher", TpeSearcher],
  ["CmaEsSearcher", CmaEsSearcher],
] as const)("%s", (_, Searcher) => {
  const layers = Array.from({ length: 8 }, () => [4, 8, 12, 16, 20, 24]);
  const chain = { layers, positions: layers.map(() => 16) };
  const best = async (
    Kind: typeof Searcher | typeof RandomSearcher,
    seed: number,
    scoreFunc: ScoreFunction,
  ) => {
    const config = { verbose: false, scoreFunc, seed, numIters: 150, minBudgetUse: 0.85 };
    const searched = await new Kind().search(chainSpace(chain).space, { macs: "50%" }, null, config as never);
    return (searched.stateDict as { best: { score: number } }).best.score;
  };

  it.each([
    ["layers of different worth", weighted],
    ["layers that must agree", agreeing],
  ])("beats random search on %s, by the median of five seeds", async (__, scoreFunc) => {
    const wins = [];
    for (const seed of [0, 1, 2, 3, 4]) {
      wins.push((await best(Searcher, seed, scoreFunc)) > (await best(RandomSearcher, seed, scoreFunc)));
    }
    expect(wins.filter(Boolean).length).toBeGreaterThanOrEqual(3);
  });

  it("has its defaults", () => {
    expect(new Searcher().defaultSearchConfig).toMatchObject({ numIters: 5000, minBudgetUse: 0.85 });
  });
});
