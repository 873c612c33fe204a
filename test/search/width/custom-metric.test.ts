/** Costs of the user's own as constraints, beside the built-in ones. */
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  convert,
  EvolveSearcher,
  MilpSearcher,
  Module,
  RandomSearcher,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
} from "../../../lib";
import { expectCode } from "../../support/tensors";

const file = path.join(__dirname, "..", "..", "fixtures", "digits_cnn.pt");
let space: SearchSpace;
beforeEach(async () => {
  const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  space = await convert(await Module.load(file), "fastnas", input, { channelDivisor: 4 });
});
afterEach(() => space.close());

/** The widest layer. */
const widest = (config: Readonly<SubnetConfig>) => Math.max(...Object.values(config));
const scoreFunc = async (model: unknown) =>
  Object.values((model as SearchSpace).active).reduce((sum, width) => sum + Math.sqrt(width), 0);

it.each([
  ["BinarySearcher", BinarySearcher, { maxChoices: 2 }],
  ["MilpSearcher", MilpSearcher, { maxChoices: 2 }],
  ["RandomSearcher", RandomSearcher, { numIters: 10 }],
  ["EvolveSearcher", EvolveSearcher, { numIters: 12, populationSize: 4, candidateSize: 2 }],
] as const)(
  "%s meets one together with a built-in one",
  { timeout: 120_000 },
  async (_, Searcher, config) => {
    const priced = space.addMetric("widest", widest);
    expect(priced).toBe(space);
    expect(space.metrics).toContain("widest");
    const full = widest(space.fullConfig);
    const bounds = { widest: "50%", flops: "70%" } as const;
    const searcher = new Searcher() as RandomSearcher;
    const { subnet, stateDict } = await searcher.search(priced, bounds, null, {
      ...config,
      scoreFunc,
      verbose: false,
    });
    const { best, fullCosts } = stateDict;
    expect(widest(best?.config as SubnetConfig)).toBeLessThanOrEqual(full / 2);
    expect(best?.costs.flops).toBeLessThanOrEqual(0.7 * (fullCosts?.flops as number));
    expect(best?.costs).toMatchObject({ widest: widest(best?.config as SubnetConfig) });
    expect(subnet.history[0]?.search?.constraints).toEqual(bounds);
  },
);

it("is given a complete config, and the space", () => {
  const priced = space.addMetric(
    "share",
    (config, model) => model.cost(config, "params") / model.cost(model.fullConfig, "params"),
  );
  expect(priced.cost({}, "share")).toBe(1);
  const narrowest = priced.cost(space.smallestConfig, "share");
  expect(narrowest).toBe(space.cost(space.smallestConfig, "params") / space.cost(space.fullConfig, "params"));
});

it("fails with what went wrong", async () => {
  const search = (constraints: Constraints<"throws" | "throw">) =>
    new RandomSearcher().search(space, constraints, null, { scoreFunc, verbose: false, numIters: 2 });
  const failing = space
    .addMetric("throws", () => {
      throw new RangeError("no");
    })
    .addMetric("nan", () => Number.NaN);
  space.addMetric("whole", () => 7);
  const thrown = await expectCode("ERR_COST_FAILED", () => failing.cost({}, "throws"));
  expect(thrown.cause).toBeInstanceOf(RangeError);
  await expectCode("ERR_COST_NAN", () => failing.cost({}, "nan"));
  await expectCode("ERR_COST_FAILED", () => search({ throws: "60%" }));
  await expectCode("ERR_UNKNOWN_CONSTRAINT", () => search({ throw: "60%" }));
  await expectCode("ERR_ARGUMENT", () => space.addMetric("flops", () => 1));
  await expectCode("ERR_ARGUMENT", () => space.addMetric("whole", () => 1));
  await expectCode("ERR_ARGUMENT", () => space.addMetric("9 lives", () => 1));
  await expectCode("ERR_ARGUMENT", () => space.addMetric("other", 3 as never));
  const unknown = await expectCode("ERR_UNKNOWN_METRIC", () => space.cost({}, "wholes" as "flops"));
  expect(unknown.message).toContain('"whole"');
});

it("below what the smallest subnet has is refused", async () => {
  const priced = space.addMetric("constant", () => 5);
  await expectCode("ERR_CONSTRAINT_UNREACHABLE", () =>
    new RandomSearcher().search(priced, { constant: 4 }, null, { scoreFunc, verbose: false }),
  );
});
