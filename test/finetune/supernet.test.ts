/** trainSupernet(): gradients against PyTorch's (scripts/fixtures/supernet_oracle.py), resuming, aborting, what goes wrong. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  crossEntropy,
  Module,
  type ProgressEvent,
  type SearchSpace,
  type SubnetConfig,
  type SupernetOptions,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
  trainSupernet,
} from "../../lib";
import { root } from "../support/zoo";

interface Gradient {
  loss: number;
  gradients: Record<string, number[]>;
}
interface Oracle {
  samples: number;
  buffers: Record<string, number[]>;
  subnets: { config: SubnetConfig; soft: Gradient; hard?: Gradient; mixed?: Gradient }[];
}

const fixtures = path.join(root, "test", "fixtures", "supernet");
const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "supernet.json"), "utf8")) as Oracle;
const code = (expected: string) => expect.objectContaining({ code: expected });

let folder: string;
let doubles: TensorDataLoader;
let floats: TensorDataLoader;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-supernet-"));
  const load = (images: string, batchSize: number) =>
    TensorDataLoader.fromNpz(path.join(fixtures, "data.npz"), { keys: [images, "labels"], batchSize });
  doubles = await load("images", oracle.samples);
  floats = await load("floats", 4);
});
afterAll(() => {
  for (const each of [doubles, floats]) each.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(name: "small" | "dropout"): Promise<{ module: Module; space: SearchSpace }> {
  const module = await Module.load(path.join(fixtures, `${name}.pt`));
  const elements = name === "small" ? new Float64Array(50) : new Float32Array(50);
  const example = Tensor.from(elements, [1, 2, 5, 5]);
  return {
    module,
    space: await convert(module, "autonas", example, { importance: "none", channelDivisor: 2 }),
  };
}

/** The sums that the oracle tells a tensor by. */
function sums(elements: readonly number[]): number[] {
  const total = (weight: (i: number) => number) => elements.reduce((sum, x, i) => sum + x * weight(i), 0);
  return [total(() => 1), total((i) => Math.cos(0.7 * i)), total((i) => Math.sin(1.3 * i))];
}

const elementsOf = (module: Module) =>
  new Map(module.namedParameters().map(({ name, tensor }) => [name, Array.from(tensor.data(), Number)]));

/** What one step of plain gradient descent at a learning rate of 1 takes off the weights. */
async function stepOf(options: SupernetOptions) {
  const { module, space } = await open("small");
  const before = elementsOf(module);
  const result = await trainSupernet(space, doubles, {
    optimizer: "sgd",
    momentum: 0,
    weightDecay: 0,
    learningRate: 1,
    schedule: "constant",
    shuffle: false,
    steps: 1,
    ...options,
  });
  const after = elementsOf(module);
  const gradients = Object.fromEntries(
    [...before].map(([name, elements]) => [
      name,
      sums(elements.map((x, i) => x - (after.get(name)?.[i] as number))),
    ]),
  );
  const buffers = module.namedBuffers().map(({ name, tensor }) => [name, Array.from(tensor.data(), Number)]);
  module.close();
  return { gradients, buffers: new Map(buffers as [string, number[]][]), result };
}

/** The largest difference, relative to 1, of a sum of the oracle's gradients. */
function distance(actual: Record<string, number[]>, parts: readonly Gradient[]): number {
  let most = 0;
  for (const [name, values] of Object.entries(actual)) {
    for (const [i, value] of values.entries()) {
      const sum = parts.reduce((total, part) => total + (part.gradients[name]?.[i] as number), 0);
      most = Math.max(most, Math.abs(value - sum) / Math.max(1, Math.abs(sum)));
    }
  }
  return most;
}

const hard = oracle.subnets.find((each) => each.hard)?.hard as Gradient;
const smallest = oracle.subnets[0] as Oracle["subnets"][number];

describe("a step", () => {
  it("adds up PyTorch's gradients of the largest and the smallest subnet", async () => {
    const { gradients, buffers, result } = await stepOf({ randomSubnets: 0 });
    expect(distance(gradients, [hard, smallest.soft])).toBeLessThan(1e-10);
    expect(result.epochs[0]?.loss).toBeCloseTo(hard.loss + smallest.soft.loss, 10);
    expect(result.smallest).toEqual(smallest.config);
    // Running statistics are those of the largest subnet alone.
    for (const [name, values] of Object.entries(oracle.buffers)) {
      for (const [i, value] of sums(buffers.get(name) as number[]).entries())
        expect(value).toBeCloseTo(values[i] as number, 10);
    }
  });

  it("mixes labels and the largest subnet's output by alpha and temperature", async () => {
    const { gradients, result } = await stepOf({ randomSubnets: 0, alpha: 0.75, temperature: 2 });
    expect(distance(gradients, [hard, smallest.mixed as Gradient])).toBeLessThan(1e-10);
    expect(result.epochs[0]?.loss).toBeCloseTo(hard.loss + (smallest.mixed as Gradient).loss, 10);
  });

  it("adds those of drawn subnets, other ones by other seeds", async () => {
    const drawn = new Set<string>();
    for (let seed = 0; seed < 6; seed++) {
      const { gradients } = await stepOf({ randomSubnets: 2, seed });
      const found: string[] = [];
      for (const [i, one] of oracle.subnets.entries()) {
        for (const other of oracle.subnets.slice(i)) {
          if (distance(gradients, [hard, smallest.soft, one.soft, other.soft]) < 1e-10)
            found.push(JSON.stringify([one.config, other.config]));
        }
      }
      // Those without the block are the same for each width of what is in it.
      expect(found.length).toBeGreaterThan(0);
      drawn.add(found[0] as string);
    }
    expect(drawn.size).toBeGreaterThan(3);
  });

  it("trains no smaller subnets than the smallest one that was given", async () => {
    const given = { conv: 4, "block.conv1": 4, hidden: 4, "block.depth": 1 };
    const same = (config: SubnetConfig) => Object.entries(given).every(([name, x]) => config[name] === x);
    const least = oracle.subnets.find(({ config }) => same(config)) as Oracle["subnets"][number];
    const { gradients } = await stepOf({ randomSubnets: 0, smallest: given });
    expect(distance(gradients, [hard, least.soft])).toBeLessThan(1e-10);
    const offered = oracle.subnets.filter(({ config }) =>
      Object.entries(given).every(([name, x]) => (config[name] as number) >= x),
    );
    for (let seed = 0; seed < 4; seed++) {
      const step = await stepOf({ randomSubnets: 1, smallest: given, seed });
      const fits = offered.filter((each) => distance(step.gradients, [hard, least.soft, each.soft]) < 1e-10);
      expect(fits).toHaveLength(1);
    }
    const { result } = await stepOf({ randomSubnets: 0, smallest: 0.5 });
    expect(result.smallest).toEqual({ conv: 2, "block.conv1": 2, hidden: 4, "block.depth": 0 });
  });
});

/** Trains a fresh copy; the result, and fingerprints of the weights and of the space. */
async function trained(options: SupernetOptions, loader: unknown = floats) {
  const { module, space } = await open("dropout");
  try {
    const result = await trainSupernet(space, loader as TensorDataLoader, options);
    return { result, weights: await module.fingerprint(), space: await space.fingerprint() };
  } finally {
    module.close();
  }
}

describe("resuming", () => {
  it.each([
    ["natively", 3],
    ["natively", 8],
    ["by batches from JavaScript", 8],
  ])("%s, after step %i, ends with the same bits as an uninterrupted run", async (way, at) => {
    const loader = way === "natively" ? floats : () => floats;
    const options: SupernetOptions = {
      steps: 14,
      learningRate: 0.01,
      warmupSteps: 3,
      seed: 7,
      scoreFunc: topKAccuracy(floats),
      checkpointSeconds: 0,
      ...(way !== "natively" && { shuffle: false }),
    };
    const whole = await trained(options, loader);
    const checkpoint = path.join(folder, `${way}-${at}.safetensors`);
    const controller = new AbortController();
    const onProgress = ({ phase, done }: ProgressEvent) => {
      if (phase === "train" && done >= at) controller.abort();
    };
    const stopped = trained({ ...options, checkpoint, onProgress, signal: controller.signal }, loader);
    await expect(stopped).rejects.toEqual(code("ERR_ABORTED"));
    expect(await trained({ ...options, checkpoint }, loader)).toEqual(whole);
    // A finished training has nothing left to do.
    expect(await trained({ ...options, checkpoint }, loader)).toEqual(whole);
    await expect(trained({ ...options, randomSubnets: 1, checkpoint }, loader)).rejects.toEqual(
      code("ERR_CHECKPOINT_OPTIONS"),
    );
  });

  it("goes on with the space that was aborted, which stops within a step", async () => {
    const { module, space } = await open("dropout");
    const controller = new AbortController();
    let last = 0;
    const checkpoint = path.join(folder, "same-space.safetensors");
    const first = trainSupernet(space, () => floats, {
      steps: 14,
      checkpoint,
      shuffle: false,
      signal: controller.signal,
      onProgress: ({ done }) => {
        last = done;
        if (done === 5) controller.abort();
      },
    });
    await expect(first).rejects.toEqual(code("ERR_ABORTED"));
    expect(last).toBe(5);
    const result = await trainSupernet(space, () => floats, { steps: 14, checkpoint, shuffle: false });
    expect(result.steps).toBe(14);
    const whole = await trained({ steps: 14, shuffle: false }, () => floats);
    expect(await module.fingerprint()).toBe(whole.weights);
    module.close();
  });
});

describe("afterwards", () => {
  it("subnets run on the trained weights, with the selection as it was and another fingerprint", async () => {
    const { module, space } = await open("dropout");
    const config = { conv: 2, "block.conv1": 2, hidden: 4, "block.depth": 1 };
    space.select(config);
    const input = Tensor.from(
      Float32Array.from({ length: 50 }, (_, i) => Math.sin(i)),
      [1, 2, 5, 5],
    );
    const before = Array.from(((await space.forward(input)) as Tensor).data(), Number);
    const fingerprint = await space.fingerprint();
    await trainSupernet(space, floats, { epochs: 2, learningRate: 0.02 });
    expect(space.active).toEqual(config);
    expect(await space.fingerprint()).not.toBe(fingerprint);
    const after = Array.from(((await space.forward(input)) as Tensor).data(), Number);
    expect(after).not.toEqual(before);
    // An exported subnet has copies of what was trained, and the statistics that it was given in the end.
    const subnet = await space.export();
    const exported = Array.from(((await subnet.forward(input)) as Tensor).data(), Number);
    for (const [i, value] of exported.entries()) expect(value).toBeCloseTo(after[i] as number, 5);
    const weights = elementsOf(module).get("hidden.weight") as number[];
    const narrow = subnet.namedParameters().find(({ name }) => name === "hidden.weight")?.tensor as Tensor;
    expect(narrow.shape).toEqual([4, 2]);
    const leading = [0, 1, 2, 3].flatMap((row) => weights.slice(4 * row, 4 * row + 2));
    expect(Array.from(narrow.data(), Number)).toEqual(leading);
    expect(module.training).toBe(false);
    // Saved, loaded and converted with its order kept, it is the same supernet.
    const file = path.join(folder, "supernet.pt");
    await module.save(file);
    const again = await Module.load(file);
    const kept = await convert(again, "autonas", input, { importance: "none", channelDivisor: 2 });
    expect(await again.fingerprint()).toBe(await module.fingerprint());
    kept.select(config);
    await kept.recalibrate(floats);
    const reloaded = Array.from(((await kept.forward(input)) as Tensor).data(), Number);
    for (const [i, value] of reloaded.entries()) expect(value).toBeCloseTo(after[i] as number, 5);
    for (const each of [subnet, again, module]) each.close();
  });

  it("keeps the best weights by the mean score of the subnets asked for", async () => {
    const { module, space } = await open("dropout");
    const seen: SubnetConfig[] = [];
    let calls = 0;
    const scored: SubnetConfig[] = [{ conv: 2 }, { hidden: 4, "block.depth": 0 }];
    const result = await trainSupernet(space, floats, {
      epochs: 3,
      scored,
      // Best after the first epoch.
      scoreFunc: () => {
        seen.push(space.active);
        const epoch = Math.floor(calls++ / 2);
        return [1, 5, 4, 3][epoch] as number;
      },
    });
    expect(seen.slice(0, 2)).toEqual(scored.map((config) => ({ ...space.fullConfig, ...config })));
    expect(result).toMatchObject({ before: 1, score: 5, bestEpoch: 1, steps: 18 });
    const single = await trained({ epochs: 3, steps: null });
    expect(await module.fingerprint()).not.toBe(single.weights);
    module.close();
  });
});

describe("what goes wrong", () => {
  it.each<[string, SupernetOptions, string]>([
    ["unknown options", { teacher: null } as SupernetOptions, "ERR_UNKNOWN_CONFIG_KEY"],
    ["half a subnet", { randomSubnets: 0.5 }, "ERR_CONFIG_VALUE"],
    ["no scored subnet", { scored: [] }, "ERR_CONFIG_VALUE"],
    ["a share above 1", { smallest: 1.5 }, "ERR_CONFIG_VALUE"],
    ["an unknown hyperparameter", { smallest: { cnv: 2 } }, "ERR_UNKNOWN_HYPERPARAMETER"],
    ["a width that is no choice", { scored: [{ conv: 3 }] }, "ERR_CHOICE"],
    ["no parameter to train", { trainable: () => false }, "ERR_NO_PARAMETERS"],
    ["a loss that explodes", { learningRate: 1e30, steps: 5 }, "ERR_LOSS_NAN"],
    ["targets that don't fit", { loss: "meanSquaredError" }, "ERR_SCORE_INPUT"],
    ["a score that is none", { scoreFunc: () => Number.NaN }, "ERR_SCORE_NAN"],
  ])("%s", async (_, options, expected) => {
    const { module, space } = await open("dropout");
    const before = elementsOf(module);
    await expect(trainSupernet(space, floats, options)).rejects.toEqual(code(expected));
    expect(elementsOf(module)).toEqual(before);
    expect(space.active).toEqual(space.fullConfig);
    // The space is as usable as before.
    expect(await crossEntropy(floats)(space)).toBeLessThan(0);
    module.close();
  });

  it("no space, no data, two trainings at once, a closed module", async () => {
    const { module, space } = await open("dropout");
    await expect(trainSupernet(module as unknown as SearchSpace, floats)).rejects.toEqual(
      code("ERR_ARGUMENT"),
    );
    await expect(trainSupernet(space, 3 as unknown as TensorDataLoader)).rejects.toEqual(
      code("ERR_ARGUMENT"),
    );
    await expect(trainSupernet(space, () => [])).rejects.toEqual(code("ERR_CONFIG_VALUE"));
    await expect(trainSupernet(space, () => [], { steps: 2 })).rejects.toEqual(code("ERR_EMPTY_LOADER"));
    const first = trainSupernet(space, floats);
    await expect(trainSupernet(space, floats)).rejects.toEqual(code("ERR_BUSY"));
    await first;
    module.close();
    await expect(trainSupernet(space, floats)).rejects.toEqual(code("ERR_CLOSED"));
  });
});
