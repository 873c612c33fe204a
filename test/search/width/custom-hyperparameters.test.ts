/** Searches over hyperparameters of the user's own. */
import { beforeEach, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  ParetoSearcher,
  RandomSearcher,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
  trainSupernet,
} from "../../../lib";
import { readReportData, renderReport } from "../../../lib/entries/report";
import { subnetsOf } from "../../../lib/entries/search";
import type { CustomHyperparameter } from "../../../lib/entries/space";
import {
  addAll,
  at,
  EDITS,
  expected,
  images,
  outputsOf,
  prepareCustomModels,
  space,
  spaceOf,
  tensors,
} from "../../support/custom-models";
import { expectCode } from "../../support/tensors";

prepareCustomModels();

describe("searches", { timeout: 180_000 }, () => {
  /** Falls with the distance from the outputs that the edited model gives. */
  const scoreFunc = async (model: unknown): Promise<number> => {
    const outputs = await outputsOf(model as SearchSpace);
    const wanted = expected.all as number[];
    return -Math.sqrt(outputs.reduce((sum, value, i) => sum + (value - (wanted[i] as number)) ** 2, 0));
  };
  const best = (of: SubnetConfig | undefined) =>
    Object.fromEntries(Object.keys(EDITS.all as SubnetConfig).map((name) => [name, of?.[name]]));
  beforeEach(() => addAll(space));

  it.each([
    ["BinarySearcher", BinarySearcher, { maxChoices: 1 }],
    ["MilpSearcher", MilpSearcher, { maxChoices: 1 }],
  ] as const)(
    "%s finds the values that are best alone, whatever else is narrowed",
    async (_, Searcher, config) => {
      // Alone, before the search, in the order of the choices.
      const alone: SubnetConfig = {};
      for (const { name, kind, choices } of space.hyperparameters) {
        if (kind !== "custom") continue;
        const scores: number[] = [];
        for (const value of choices) {
          space.select({ ...space.fullConfig, [name]: value });
          scores.push(await scoreFunc(space));
        }
        alone[name] = choices[scores.indexOf(Math.max(...scores))] as number;
      }
      const searcher = new Searcher() as BinarySearcher;
      const options = { ...config, scoreFunc, verbose: false };
      const unbound = await searcher.search(space, {}, null, options);
      expect(unbound.stateDict.history.map((each) => best(each.config))).toContainEqual(alone);
      const { subnet, stateDict } = await searcher.search(
        space,
        { flops: "70%", params: "80%" },
        null,
        options,
      );
      expect(stateDict.history.map((each) => best(each.config))).toContainEqual(alone);
      expect(stateDict.best?.costs.flops).toBeLessThanOrEqual(0.7 * (stateDict.fullCosts?.flops as number));
      const { slope } = stateDict.sensitivity;
      expect(slope?.scores).not.toContain(null);
      expect(Math.min(...(slope?.degradation as number[]))).toBe(0);
      expect(await scoreFunc(subnet)).toBeCloseTo(stateDict.best?.score as number, 3);
    },
  );

  it.each([
    ["RandomSearcher", RandomSearcher, { numIters: 60 }],
    ["EvolveSearcher", EvolveSearcher, { numIters: 150, populationSize: 20, candidateSize: 5 }],
    ["ParetoSearcher", ParetoSearcher, { numIters: 80, populationSize: 20 }],
  ] as const)(
    "%s proposes them, meets the constraints and keeps them in its checkpoint",
    async (name, Searcher, config) => {
      const checkpoint = at(`${name}.safetensors`);
      const searcher = new Searcher() as RandomSearcher;
      const options = { ...config, scoreFunc, verbose: false, checkpoint, seed: 3 };
      const { subnet, stateDict } = await searcher.search(space, { flops: "90%" }, null, options);
      const found = stateDict.best;
      expect(found?.costs.flops).toBeLessThanOrEqual(0.9 * (stateDict.fullCosts?.flops as number));
      expect(await scoreFunc(subnet)).toBeCloseTo(found?.score as number, 3);
      const measured = subnetsOf(stateDict.candidates);
      expect(new Set(measured.map((each) => each.config.slope))).toEqual(new Set([0.3, 0.1, 0.01]));
      // Resumed, nothing is measured again.
      let scored = 0;
      const again = await spaceOf();
      await addAll(again);
      const resumed = await searcher.search(again, { flops: "90%" }, null, {
        ...options,
        scoreFunc: () => {
          scored += 1;
          return 0;
        },
      });
      expect(scored).toBe(0);
      expect(resumed.stateDict.best).toEqual(found);
      again.close();
      // A report draws widths; these are none.
      expect(await renderReport(await readReportData(checkpoint))).toContain("conv1");
    },
  );

  it("EvolveSearcher improves on the model by them", async () => {
    space.select(space.fullConfig);
    const before = await scoreFunc(space);
    const { stateDict } = await new EvolveSearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      numIters: 400,
      populationSize: 40,
      candidateSize: 10,
    });
    expect(stateDict.best?.score).toBeGreaterThan(before / 2);
  });

  it("GradientSearcher leaves them as they are", async () => {
    const labels = BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i % 10));
    const dataLoader = images.map((batch) => [batch, Tensor.from(labels)]);
    const { stateDict } = await new GradientSearcher().search(space, { flops: "70%" }, null, {
      scoreFunc,
      dataLoader,
      verbose: false,
    });
    expect(stateDict.best?.config).toMatchObject(best(space.fullConfig));
    expect(stateDict.channelScores?.slope).toEqual([]);
  });

  it.each([
    ["BinarySearcher", BinarySearcher, { maxChoices: 1 }],
    ["MilpSearcher", MilpSearcher, { maxChoices: 1 }],
    ["EvolveSearcher", EvolveSearcher, { numIters: 40, populationSize: 10, candidateSize: 4 }],
  ] as const)("%s meets a cost of the user's own that counts them", async (_, Searcher, config) => {
    const bits = ({ binary, head }: Readonly<SubnetConfig>) =>
      (binary === 0 ? 1 : 32) + (head === 0 ? 10 : 32);
    const priced = space.addMetric("bits", bits);
    const searcher = new Searcher() as BinarySearcher;
    const { stateDict } = await searcher.search(priced, { bits: 20 }, null, {
      ...config,
      scoreFunc,
      verbose: false,
    });
    expect(stateDict.best?.config).toMatchObject({ binary: 0, head: 0 });
    expect(stateDict.best?.costs).toMatchObject({ bits: 11 });
  });

  it("kept activations change no score", async () => {
    const kept = await new BinarySearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      dataLoader: images,
    });
    const plain = await new BinarySearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      dataLoader: images,
      activationCache: false,
    });
    expect(kept.stateDict.sensitivity).toEqual(plain.stateDict.sensitivity);
    expect(space.reuse.hits).toBeGreaterThan(0);
  });

  it("a checkpoint of other hyperparameters or values is refused", async () => {
    const checkpoint = at("values.safetensors");
    const search = (of: SearchSpace) =>
      new RandomSearcher().search(of, {}, null, {
        scoreFunc: () => 1,
        verbose: false,
        checkpoint,
        numIters: 3,
      });
    await search(space);
    const again = async (add: (to: SearchSpace) => Promise<unknown>) => {
      const other = await spaceOf();
      await add(other);
      return other;
    };
    const scale: CustomHyperparameter = { constant: "attn.mul.other", values: [1, 4] };
    const others = await Promise.all([
      again(async () => {}),
      again((to) => to.addHyperparameter("scale", scale)),
      again((to) => to.addHyperparameter("scale", { ...scale, values: [1, 5] })),
      again((to) => to.addHyperparameter("head", { tensor: "head.weight", values: [tensors.head] })),
      again((to) =>
        to.addHyperparameter("head", {
          tensor: "head.weight",
          values: [Tensor.from(new Float32Array(120), [10, 12])],
        }),
      ),
    ]);
    const prints = new Set(await Promise.all([space, ...others].map((each) => each.fingerprint())));
    expect(prints.size).toBe(6);
    for (const other of others) await expectCode("ERR_CHECKPOINT_MODEL", () => search(other));
    const same = await again(addAll);
    expect(await same.fingerprint()).toBe(await space.fingerprint());
    await search(same);
    for (const each of [...others, same]) each.close();
  });

  it("add none meanwhile, and are not trained", async () => {
    const add = () => space.addHyperparameter("p", { constant: "drop.dropout.p", values: [0.3] });
    let refused: unknown;
    await new RandomSearcher().search(space, {}, null, {
      numIters: 1,
      verbose: false,
      scoreFunc: async () => {
        refused = await expectCode("ERR_BUSY", add);
        return 1;
      },
    });
    expect(refused).toBeDefined();
    expect((await add()).choices).toEqual([0.3, 0.1]);
    const train = await expectCode("ERR_HYPERPARAMETER", () => trainSupernet(space, [], { epochs: 1 }));
    expect(train.message).toContain("slope");
  });
});
