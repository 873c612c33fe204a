/** The parts that searchers are made of, each alone: the bisection, growing, and trials. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { satisfies } from "../../../lib/contract/constraints";
import { bisect } from "../../../lib/search/width/binary";
import { grow } from "../../../lib/search/width/grow";
import { degradationOf, type Sensitivity } from "../../../lib/search/width/sensitivity";
import { thresholdsOf } from "../../../lib/search/width/thresholds";
import { boundedCosts } from "../../../lib/space/sampling";
import type { SearchSpace } from "../../../lib/space/search-space";
import { iterativeState, Trials } from "../../../lib/space/trials";
import type { ScoredSubnet, SubnetConfig } from "../../../lib/space/types";
import { chainSpace, chains } from "../../support/chain-space";

/** Sensitivities of a space, by numbers from 0 to 1 that repeat. */
function sensitivitiesOf(space: SearchSpace, numbers: readonly number[]): Record<string, Sensitivity> {
  let next = 0;
  return Object.fromEntries(
    space.hyperparameters.map(({ name, choices }) => {
      const last = choices.length - 1;
      const scores = choices.map((_, at) => (at === last ? 1 : (numbers[next++ % numbers.length] as number)));
      return [name, { choices: [...choices], scores, degradation: degradationOf(scores, 1, choices) }];
    }),
  );
}

const cases = fc.record({
  chain: chains(4, 4),
  numbers: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** A bound on multiply-adds between the smallest subnet's and the full model's. */
function boundOf(space: SearchSpace, share: number): { macs: number } {
  const least = space.cost(space.smallestConfig, "macs");
  return { macs: least + share * (space.cost(space.fullConfig, "macs") - least) };
}

describe("bisect", () => {
  it("finds the smallest threshold at which the subnet fits, as trying all of them does", () => {
    fc.assert(
      fc.property(cases, ({ chain, numbers, share }) => {
        const { space } = chainSpace(chain);
        const { hyperparameters, fullConfig } = space;
        const sensitivity = sensitivitiesOf(space, numbers);
        const bounds = boundOf(space, share);
        const fits = (config: SubnetConfig): boolean =>
          satisfies(boundedCosts(space, config, bounds), bounds);
        const at = (threshold: number): SubnetConfig =>
          Object.fromEntries(
            hyperparameters.map(({ name, choices, full }) => {
              const { degradation } = sensitivity[name] as Sensitivity;
              return [name, choices.find((_, i) => (degradation[i] as number) <= threshold) ?? full];
            }),
          );
        const threshold = thresholdsOf(sensitivity).find((each) => fits(at(each))) as number;
        expect(bisect(hyperparameters, sensitivity, fullConfig, fits)).toEqual({
          threshold,
          config: at(threshold),
        });
      }),
    );
  });

  it("leaves the others as they are, and gives null where that can't fit", () => {
    const { space } = chainSpace({
      layers: [
        [1, 2],
        [1, 2],
      ],
      positions: [1, 1],
    });
    const sensitivity = sensitivitiesOf(space, [0.5]);
    const first = space.hyperparameters.slice(0, 1);
    const some = bisect(first, sensitivity, space.fullConfig, ({ layer0 }) => layer0 === 1);
    expect(some?.config).toEqual({ layer0: 1, layer1: 2 });
    expect(bisect(first, sensitivity, space.fullConfig, ({ layer1 }) => layer1 === 1)).toBeNull();
  });
});

describe("grow", () => {
  it("stays within the bounds, never harms, and ends where no single step fits", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ chain, numbers, share }) => {
        const { space } = chainSpace(chain);
        const sensitivity = sensitivitiesOf(space, numbers);
        const bounds = boundOf(space, share);
        const fits = (config: SubnetConfig): boolean =>
          satisfies(boundedCosts(space, config, bounds), bounds);
        const grown = await grow(space, sensitivity, space.smallestConfig, bounds, null);
        expect(fits(grown)).toBe(true);
        for (const { name, choices } of space.hyperparameters) {
          const at = choices.indexOf(grown[name] as number);
          if (at + 1 < choices.length)
            expect(fits({ ...grown, [name]: choices[at + 1] as number })).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("Trials", () => {
  const chain = {
    layers: [
      [1, 2],
      [1, 2],
    ],
    positions: [1, 1],
  };
  const scored = (space: SearchSpace, config: SubnetConfig, score: number): ScoredSubnet => ({
    config,
    score,
    costs: space.costs(config),
  });

  it("asks for what was not measured, records it once, and keeps the best that fits", () => {
    const { space } = chainSpace(chain);
    const state = iterativeState();
    const fits = ({ layer0 }: Readonly<SubnetConfig>): boolean => layer0 === 1;
    const trials = new Trials({ space, fits, log: () => {} }, state);
    const small = { layer0: 1, layer1: 1 };
    const wide = { layer0: 2, layer1: 1 };
    const first = trials.ask({ propose: () => small });
    expect(first).toEqual({ config: small, row: undefined });
    expect(trials.isKnown(first, null)).toBe(false);
    trials.rank(trials.record(first, scored(space, small, 1)));
    const proposals = [small, small, wide];
    const second = trials.ask({ propose: () => proposals.shift() as SubnetConfig });
    expect(second.config).toBe(wide);
    trials.rank(trials.record(second, scored(space, wide, 9)));
    expect(state.best?.config).toEqual(small);
    const again = trials.ask({ propose: () => small });
    expect(again.row).toBe(0);
    expect(trials.isKnown(again, null)).toBe(true);
    trials.fillState();
    expect([...state.candidates.scores]).toEqual([1, 9]);
    // Another one goes on from the state.
    const resumed = new Trials({ space, fits, log: () => {} }, state);
    expect(resumed.candidates.find(wide)).toBe(1);
  });

  it("measures again what was stopped below a lower score than now", () => {
    const { space } = chainSpace(chain);
    const trials = new Trials({ space, fits: () => true, log: () => {} }, iterativeState());
    const config = { layer0: 1, layer1: 1 };
    const sampler = { propose: () => config };
    const stopped = { ...scored(space, config, Number.NaN), atMost: 3, errorProbability: 0.1 };
    const row = trials.record(trials.ask(sampler), stopped);
    trials.rank(row);
    expect(trials.state.best).toBeNull();
    const trial = trials.ask(sampler);
    expect(trials.isKnown(trial, null)).toBe(false);
    expect(trials.isKnown(trial, { below: 3, errorProbability: 0.1 })).toBe(false);
    expect(trials.isKnown(trial, { below: 4, errorProbability: 0.05 })).toBe(false);
    expect(trials.isKnown(trial, { below: 4, errorProbability: 0.1 })).toBe(true);
    expect(trials.record(trial, scored(space, config, 2))).toBe(row);
    trials.rank(row);
    expect(trials.state.best?.score).toBe(2);
  });
});
