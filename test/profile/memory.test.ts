/** Memory at the peak of a forward, against what PyTorch's profiler saw allocated (scripts/fixtures/memory.py). */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  convert,
  crossEntropy,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  Module,
  ParetoSearcher,
  profile,
  Random,
  RandomSearcher,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");

function readJson<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(path.join(root, "test", ...parts), "utf8")) as T;
}

const oracle = readJson<{ models: Record<string, { size: number; memory: number }> }>(
  "oracle",
  "memory.json",
);
const hard = readJson<{
  cases: Record<
    string,
    { files: Record<string, string>; inputs: { shape: number[]; dtype: string; data: number[] }[] }
  >;
}>("fixtures", "hard", "index.json");

function inputsOf(file: string): Tensor[] {
  if (!file.startsWith("hard/")) return [Tensor.from(new Float32Array(64), [1, 1, 8, 8])];
  const found = Object.values(hard.cases).find(({ files }) =>
    Object.values(files).some((name) => `hard/${name}` === file),
  );
  if (found === undefined)
    throw new Error(`${file} is not in the index of hard cases; run scripts/fixtures/memory.py`);
  return found.inputs.map(({ shape, dtype, data }) =>
    Tensor.from(dtype === "int64" ? data.map(BigInt) : data, shape, { dtype: dtype as "float32" }),
  );
}

/** PyTorch's interpreter holds what a branch reads until the branch ends. */
const BRANCHES = "hard/branch_on_size.scripted.pt";

describe("profile().memory is what PyTorch's profiler saw", () => {
  it.each(Object.entries(oracle.models))("%s", async (file, { size, memory }) => {
    const module = await Module.load(path.join(fixtures, file));
    const found = await profile(module, inputsOf(file), { metrics: ["memory"] });
    module.close();
    expect(found.size).toBe(size);
    if (file !== BRANCHES) return expect(found.memory).toBe(memory);
    expect(found.memory).toBeLessThan(memory);
    expect(found.memory - size).toBeGreaterThan(0.7 * (memory - size));
  });
});

describe("a bound on memory", { timeout: 120_000 }, () => {
  const example = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

  async function resnet(): Promise<{ space: SearchSpace; train: TensorDataLoader }> {
    const module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
    const space = await convert(module, "fastnas", example, { channelDivisor: 16 });
    const train = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
      keys: ["train_images", "train_labels"],
      batchSize: 128,
    });
    return { space, train };
  }

  const searchers = {
    BinarySearcher: () => new BinarySearcher(),
    MilpSearcher: () => new MilpSearcher(),
    GradientSearcher: () => new GradientSearcher(),
    EvolveSearcher: () => new EvolveSearcher(),
    RandomSearcher: () => new RandomSearcher(),
    ParetoSearcher: () => new ParetoSearcher(),
  };

  it.each(Object.entries(searchers))("%s meets it, alone and with FLOPs", async (name, make) => {
    const { space, train } = await resnet();
    const full = space.costs(space.fullConfig);
    for (const constraints of [{ memory: "70%" }, { memory: "80%", flops: "70%" }] as Constraints[]) {
      const { subnet, stateDict } = await make().search(space, constraints, example, {
        scoreFunc: crossEntropy(train, { maxBatches: 1 }),
        ...(name === "GradientSearcher" && { dataLoader: train, maxIterDataLoader: 1 }),
        ...(["EvolveSearcher", "RandomSearcher", "ParetoSearcher"].includes(name) && { numIters: 40 }),
      });
      const { memory, flops } = await profile(subnet, example, { metrics: ["memory"] });
      expect(memory).toBe(stateDict.best?.costs.memory);
      expect(memory).toBeLessThanOrEqual((constraints.flops ? 0.8 : 0.7) * (full.memory as number));
      if (constraints.flops) expect(flops).toBeLessThanOrEqual(0.7 * full.flops);
      subnet.close();
    }
    space.close();
  });

  it("that no subnet meets is refused with the smallest reachable", async () => {
    const { space, train } = await resnet();
    const smallest = space.cost(space.smallestConfig, "memory");
    const refused = await expectCode("ERR_CONSTRAINT_UNREACHABLE", () =>
      new BinarySearcher().search(space, { memory: smallest - 1 }, example, {
        scoreFunc: crossEntropy(train),
      }),
    );
    expect(refused.message).toContain(String(smallest));
    space.close();
  });

  it("never rises where a width shrinks or a block is left out", async () => {
    const { space } = await resnet();
    const random = new Random(7);
    for (let i = 0; i < 200; i++) {
      const config = space.sample(random);
      const memory = space.cost(config, "memory");
      for (const { name, choices } of space.hyperparameters) {
        const at = choices.indexOf(config[name] as number);
        if (at === 0) continue;
        const narrowed = { ...config, [name]: choices[at - 1] as number };
        expect(space.cost(narrowed, "memory")).toBeLessThanOrEqual(memory);
      }
    }
    space.close();
  });
});
