/** What a searcher of one's own proposes: completed from the full model, or refused by a code that says why. */
import { describe, expect, it } from "vitest";
import { AutoQuantizeSearcher, type SearchSpace, type SubnetConfig } from "../../../lib";
import {
  ITERATIVE_DEFAULTS,
  type IterativeSearchConfig,
  type IterativeSearchState,
  iterate,
  iterativeState,
  SpaceSearcher,
  Trials,
} from "../../../lib/entries/search";
import { subnetsOf } from "../../../lib/space/candidates";
import { chainSpace } from "../../support/chain-space";

const LAYERS = [
  [8, 16, 24],
  [8, 16, 24],
  [8, 16, 24],
];
const chain = () => chainSpace({ layers: LAYERS, positions: [4, 4, 4] }).space;

/** Takes its proposals from a list. */
class Listed extends SpaceSearcher<IterativeSearchState, IterativeSearchConfig> {
  static proposals: unknown[] = [];
  override get defaultSearchConfig(): IterativeSearchConfig {
    return { ...super.defaultSearchConfig, ...ITERATIVE_DEFAULTS, numIters: Listed.proposals.length };
  }
  get defaultStateDict() {
    return iterativeState();
  }
  async runSearch() {
    const { state, tools, config } = this;
    const propose = () => Listed.proposals[state.iteration] as SubnetConfig;
    await iterate(tools, new Trials(tools, state), { propose }, config);
  }
}

const total = (space: SearchSpace) => () =>
  Object.values(space.active).reduce((sum, width) => sum + width, 0);
const quiet = { verbose: false } as const;

describe("a proposal that names only some widths", () => {
  it("has the full model's in the others, whatever was measured before, and is recorded so", async () => {
    const space = chain();
    Listed.proposals = [{ layer0: 8, layer1: 8, layer2: 8 }, { layer1: 16 }, {}];
    const scored: SubnetConfig[] = [];
    const scoreFunc = () => {
      scored.push(space.active);
      return total(space)();
    };
    const { stateDict } = await new Listed().search(space, {}, null, { scoreFunc, ...quiet });
    const right = [
      { layer0: 8, layer1: 8, layer2: 8 },
      { layer0: 24, layer1: 16, layer2: 24 },
      { layer0: 24, layer1: 24, layer2: 24 },
    ];
    expect(scored).toEqual(right);
    expect(subnetsOf(stateDict.candidates).map(({ config }) => config)).toEqual(right);
    for (const { config, costs } of subnetsOf(stateDict.candidates))
      expect(costs).toEqual(space.costs(config));
    expect(stateDict.best?.config).toEqual(right[2]);
  });

  it("is completed where a searcher measures by itself, too", async () => {
    class Measures extends SpaceSearcher {
      get defaultStateDict() {
        return { fullCosts: null, bounds: null, best: null };
      }
      async runSearch() {
        await this.measure({ layer0: 8, layer1: 8, layer2: 8 });
        this.state.best = await this.measure({ layer0: 16 });
      }
    }
    const space = chain();
    const scoreFunc = total(space);
    const { stateDict } = await new Measures().search(space, {}, null, { scoreFunc, ...quiet });
    expect(stateDict.best).toMatchObject({ config: { layer0: 16, layer1: 24, layer2: 24 }, score: 64 });
  });
});

describe("what can't be measured is refused by its code", () => {
  it.each<[string, unknown, RegExp]>([
    ["null", null, /what propose\(\) returned but received null/],
    ["nothing", undefined, /received undefined/],
    ["a promise", Promise.resolve({}), /await it first/],
    ["a list", [8, 8, 8], /received an array of 3/],
  ])("%s", async (_, proposal, message) => {
    const space = chain();
    Listed.proposals = [proposal];
    const run = new Listed().search(space, {}, null, { scoreFunc: total(space), ...quiet });
    await expect(run).rejects.toMatchObject({
      code: "ERR_PROPOSAL",
      message: expect.stringMatching(message),
    });
  });

  it("a candidate with an unknown name or width, as before", async () => {
    const space = chain();
    for (const [proposal, code] of [
      [{ layer9: 8 }, "ERR_UNKNOWN_HYPERPARAMETER"],
      [{ layer0: 9 }, "ERR_CHOICE"],
      [{ layer0: null }, "ERR_CHOICE"],
    ] as const) {
      Listed.proposals = [proposal];
      const run = new Listed().search(space, {}, null, { scoreFunc: total(space), ...quiet });
      await expect(run).rejects.toMatchObject({ code });
    }
  });

  it("a search of which no candidate fits", async () => {
    const space = chain();
    Listed.proposals = [{}, { layer0: 16 }];
    const run = new Listed().search(space, { macs: "20%" }, null, { scoreFunc: total(space), ...quiet });
    await expect(run).rejects.toMatchObject({
      code: "ERR_NO_CANDIDATE",
      message: expect.stringMatching(/None of the 2 measured candidates meets the constraints \(macs <= \d/),
    });
  });

  it("a best subnet that was never set, or is incomplete", async () => {
    class Sets extends SpaceSearcher {
      static best: unknown = null;
      get defaultStateDict() {
        return { fullCosts: null, bounds: null, best: null };
      }
      async runSearch() {
        this.state.best = Sets.best as never;
      }
    }
    const space = chain();
    const search = () => new Sets().search(space, {}, null, { scoreFunc: total(space), ...quiet });
    await expect(search()).rejects.toMatchObject({ code: "ERR_NO_CANDIDATE" });
    Sets.best = { config: { layer0: 8 }, score: 1, costs: {} };
    await expect(search()).rejects.toMatchObject({
      code: "ERR_PROPOSAL",
      message: expect.stringMatching(/names only 1 of 3 hyperparameters/),
    });
    Sets.best = { score: 1 };
    await expect(search()).rejects.toMatchObject({ code: "ERR_PROPOSAL" });
  });

  it("a default config that forgets its base class's", async () => {
    class Forgetful extends Listed {
      override get defaultSearchConfig(): IterativeSearchConfig {
        return { ...ITERATIVE_DEFAULTS, numIters: 1 } as IterativeSearchConfig;
      }
    }
    const space = chain();
    const right = {
      code: "ERR_DEFAULT_CONFIG",
      message: expect.stringMatching(/super\.defaultSearchConfig/),
    };
    const scoreFunc = total(space);
    await expect(new Forgetful().search(space, {}, null, { scoreFunc })).rejects.toMatchObject(right);
    await expect(new Forgetful().search(space, {}, null, null)).rejects.toMatchObject(right);
    class Countless extends Listed {
      override get defaultSearchConfig(): IterativeSearchConfig {
        const { numIters: _, ...rest } = super.defaultSearchConfig;
        return rest as IterativeSearchConfig;
      }
    }
    await expect(new Countless().search(space, {}, null, { scoreFunc, ...quiet })).rejects.toMatchObject({
      code: "ERR_DEFAULT_CONFIG",
      message: expect.stringMatching(/ITERATIVE_DEFAULTS/),
    });
  });

  it("a searcher on the wrong kind of space", async () => {
    const run = new AutoQuantizeSearcher().search(chain() as never, {}, null, quiet as never);
    await expect(run).rejects.toMatchObject({
      code: "ERR_ARGUMENT",
      message: expect.stringMatching(
        /expected a QuantizationSpace .* an instance of SearchSpace.*auto_quantize/,
      ),
    });
  });
});
