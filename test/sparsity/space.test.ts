/** Sparse weights, against scripts/fixtures/sparsity.py (dense definitions) and PyTorch (scripts/python/verify_sparse.py). */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  crossEntropy,
  Module,
  readCheckpoint,
  type SparseConfig,
  SparseGptSearcher,
  SparseMagnitudeSearcher,
  SparseSpace,
  search,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { python, root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const digits = path.join(fixtures, "digits.npz");

interface Expected {
  magnitude: { mask: number[]; error: number };
  sparsegpt: { mask: number[]; weight: number[]; error: number };
}
const fixture = JSON.parse(readFileSync(path.join(fixtures, "sparsity.json"), "utf8")) as {
  x: { shape: number[]; data: number[] };
  expected: Record<string, Expected>;
};

let folder: string;
let x: Tensor;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-sparsity-"));
  x = Tensor.from(Float32Array.from(fixture.x.data), fixture.x.shape);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function smallSpace(config: SparseConfig, mode: "sparsegpt" | "sparse_magnitude" = "sparsegpt") {
  const module = await Module.load(path.join(fixtures, "sparsity.pt"));
  const space = await convert(module, mode, x, config);
  return { module, space };
}

const digitsInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const calibration = (seed = 0) =>
  TensorDataLoader.fromNpz(digits, { keys: ["train_images"], batchSize: 64, shuffle: true, seed });

describe.each(["2:4", "1:4", "unstructured"])("%s", (pattern) => {
  it.each(["conv", "linear", "projection"])("of %s is what the definitions give", async (layer) => {
    const expected = fixture.expected[`${layer} ${pattern}`] as Expected;
    const { space } = await smallSpace({ pattern });
    const density = pattern === "unstructured" ? 0.3 : space.uniform()[layer];
    for (const method of ["magnitude", "sparsegpt"] as const) {
      await space.collect([layer]);
      // Two batches of unequal size make the same mean as one.
      const split = (from: number, to: number) =>
        Tensor.from(Float32Array.from(fixture.x.data.slice(from * 280, to * 280)), [to - from, 8, 7, 5]);
      await space.forward(split(0, 5));
      await space.forward(split(5, 12));
      await space.stopCollecting();
      const done = await space.sparsify(layer, density as number, {
        method,
        blockSize: 8,
        hessianDamp: 0.01,
      });
      const { weight, mask } = await space.layerTensors(layer);
      expect([...(mask?.data() as Uint8Array)]).toEqual(expected[method].mask);
      expect(done.kept).toBe(expected[method].mask.reduce((sum, bit) => sum + bit, 0));
      expect(done.error).toBeCloseTo(expected[method].error, 5);
      expect(done.deadInputs).toBe(layer === "conv" ? 6 : 0);
      if (method === "sparsegpt") {
        const weights = weight.data() as Float32Array;
        expected.sparsegpt.weight.forEach((value, i) => {
          expect(Math.abs((weights[i] as number) - value)).toBeLessThan(1e-5);
        });
        expect(done.error as number).toBeLessThan(expected.magnitude.error);
      }
    }
  });
});

it("keeps exactly as many as asked for, the largest ones, unchanged", async () => {
  const { module, space } = await smallSpace({ pattern: "unstructured" }, "sparse_magnitude");
  const dense = new Map(
    module
      .namedParameters()
      .map(({ name, tensor }) => [name, Float32Array.from(tensor.data() as Float32Array)]),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...space.layers),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (layer, density) => {
        const done = await space.sparsify(layer.name, density, { method: "magnitude" });
        expect(done.kept).toBe(Math.round(layer.elements * density));
        expect(space.active[layer.name]).toBe(done.density);
        const { weight, mask } = await space.layerTensors(layer.name);
        const before = dense.get(layer.parameter) as Float32Array;
        const bits = mask === null ? before.map(() => 1) : (mask.data() as Uint8Array);
        const after = weight.data() as Float32Array;
        let smallestKept = Number.POSITIVE_INFINITY;
        let largestGone = 0;
        before.forEach((value, i) => {
          if (bits[i]) {
            expect(after[i]).toBe(value);
            smallestKept = Math.min(smallestKept, Math.abs(value));
          } else {
            expect(after[i]).toBe(0);
            largestGone = Math.max(largestGone, Math.abs(value));
          }
        });
        expect(smallestKept).toBeGreaterThanOrEqual(largestGone);
      },
    ),
    { numRuns: 30 },
  );
});

it("keeps the largest of all layers together", async () => {
  const { module, space } = await smallSpace({ pattern: "unstructured" }, "sparse_magnitude");
  const { subnet } = await search(space, {}, x, { density: 0.4, scope: "global", verbose: false });
  const weights = new Map(
    module.namedParameters().map(({ name, tensor }) => [name, tensor.data() as Float32Array]),
  );
  const all = space.layers.flatMap(({ parameter }) =>
    [...(weights.get(parameter) as Float32Array)].map(Math.abs),
  );
  const threshold = all.sort((a, b) => b - a)[Math.round(all.length * 0.4) - 1] as number;
  for (const { name, tensor } of (subnet as Module)
    .namedBuffers()
    .filter(({ name }) => name.endsWith("_mask"))) {
    const magnitudes = [...(weights.get(name.slice(0, -"_mask".length)) as Float32Array)].map(Math.abs);
    expect([...(tensor.data() as Uint8Array)]).toEqual(
      magnitudes.map((value) => (value >= threshold ? 1 : 0)),
    );
  }
  expect(space.cost({}, "density")).toBeCloseTo(0.4, 3);
});

it("leaves the module alone, and exports what the space computes, with masks and without", async () => {
  const { module, space } = await smallSpace({ pattern: "2:4" });
  const before = await module.fingerprint();
  const searcher = new SparseGptSearcher();
  const { subnet } = await searcher.search(space, {}, x, { dataLoader: [[x]], verbose: false });
  const plain = await space.export({ masks: false });
  const output = ((await space.forward(x)) as Tensor).data();
  expect(((await subnet.forward(x)) as Tensor).data()).toEqual(output);
  expect(((await plain.forward(x)) as Tensor).data()).toEqual(output);
  expect(plain.namedBuffers()).toEqual([]);
  expect(
    subnet
      .namedBuffers()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["conv.weight_mask", "linear.weight_mask", "projection_mask"]);
  expect(await module.fingerprint()).toBe(before);
});

it.each(["digits_resnet", "digits_vit"])(
  "of %s opens in PyTorch, and its zeros survive training",
  { timeout: 120_000 },
  async (name) => {
    const module = await Module.load(path.join(fixtures, `${name}.pt`));
    const space = await convert(module, "sparsegpt", digitsInput(), {});
    const { subnet } = await search(space, {}, digitsInput(), {
      dataLoader: await calibration(),
      maxIterDataLoader: 2,
      verbose: false,
    });
    const file = path.join(folder, `${name}.pt`);
    await subnet.save(file);
    const script = path.join(root, "scripts", "python", "verify_sparse.py");
    const found = JSON.parse(
      execFileSync(python, [script, file, "4x1x8x8", "--pattern", "2:4"], { encoding: "utf8" }),
    ) as { layers: Record<string, Record<string, number | boolean>>; changed: boolean };
    expect(Object.keys(found.layers).sort()).toEqual(space.layers.map(({ parameter }) => parameter).sort());
    expect(Object.keys(found.layers).length).toBeGreaterThan(10);
    for (const layer of Object.values(found.layers)) {
      expect(layer).toEqual({ density: 0.5, zero: true, pattern: true, kept_zero: true, trained: true });
    }
    expect(found.changed).toBe(true);
  },
);

it("is closer to the dense model by SparseGPT than by magnitude", { timeout: 120_000 }, async () => {
  const test = await TensorDataLoader.fromNpz(digits, {
    keys: ["test_images", "test_labels"],
    batchSize: 250,
  });
  const module = await Module.load(path.join(fixtures, "digits_vit.pt"));
  const scores: number[] = [];
  for (const Searcher of [SparseMagnitudeSearcher, SparseGptSearcher]) {
    const space = await convert(module, "sparsegpt", digitsInput(), {});
    const config = {
      dataLoader: await calibration(),
      maxIterDataLoader: 4,
      scoreFunc: crossEntropy(test),
      verbose: false,
    };
    const { stateDict } = await new Searcher().search(space, {}, digitsInput(), config);
    scores.push(stateDict.best?.score as number);
  }
  expect(scores[1]).toBeGreaterThan(scores[0] as number);
});

it.each([false, true])(
  "resumes at the layer where it was, sequential: %s",
  { timeout: 120_000 },
  async (sequential) => {
    const module = await Module.load(path.join(fixtures, "digits_vit.pt"));
    const run = async (checkpoint: string, stopAfter: number) => {
      const space = await convert(module, "sparsegpt", digitsInput(), {});
      const abort = new AbortController();
      const seen: string[] = [];
      const config = {
        dataLoader: await calibration(3),
        maxIterDataLoader: 1,
        sequential,
        checkpoint,
        verbose: false,
        signal: abort.signal,
        onProgress: ({ phase, details }: { phase: string; details?: Record<string, unknown> }) => {
          if (phase !== "sparsify") return;
          seen.push(String(details?.layer));
          if (seen.length === stopAfter) abort.abort();
        },
      };
      const searching = new SparseGptSearcher().search(space, {}, digitsInput(), config);
      if (stopAfter > 0) await expect(searching).rejects.toMatchObject({ code: "ERR_ABORTED" });
      else await searching;
      return seen;
    };
    const whole = path.join(folder, `whole-${sequential}.safetensors`);
    const parts = path.join(folder, `parts-${sequential}.safetensors`);
    const layers = await run(whole, 0);
    const first = await run(parts, 3);
    const second = await run(parts, 5);
    const third = await run(parts, 0);
    expect([...first, ...second, ...third]).toEqual(layers);
    const [a, b] = [await readCheckpoint(whole), await readCheckpoint(parts)];
    const plain = (state: unknown) =>
      JSON.stringify(state, (_, value) => (value instanceof Tensor ? [...value.data()].map(String) : value));
    expect(plain(b?.state)).toBe(plain(a?.state));
  },
);

it("runs the data as often as the memory asks for, with the same result", async () => {
  const results: string[] = [];
  for (const memoryBudget of [2 ** 31, 20_000, 1]) {
    const { space } = await smallSpace({ pattern: "2:4" });
    let passes = 0;
    const forwardLoop = async (model: { forward(...inputs: unknown[]): Promise<unknown> }) => {
      passes += 1;
      await model.forward(x);
    };
    const { subnet } = await new SparseGptSearcher().search(space, {}, x, {
      forwardLoop,
      memoryBudget,
      verbose: false,
    });
    results.push(await subnet.fingerprint());
    expect(passes).toBe(memoryBudget === 2 ** 31 ? 1 : memoryBudget === 1 ? 3 : passes);
  }
  expect(new Set(results).size).toBe(1);
});

it("chooses layers by name, place and shape, and says why others stay dense", async () => {
  const { module, space } = await smallSpace({ pattern: "2:4", exclude: ["lin*"], skipLast: true });
  expect(space.layers.map(({ name }) => name)).toEqual(["conv"]);
  expect(space.denseParameters.map(({ reason }) => reason)).toEqual([
    "exclude names it",
    "it is the last layer (skipLast)",
  ]);
  const wide = await convert(module, "sparsegpt", x, { pattern: "1:8" });
  expect(wide.denseParameters[0]).toEqual({
    parameter: "conv.weight",
    reason: "its 4 input channels a group aren't a multiple of 8",
  });
  await expect(convert(module, "sparsegpt", x, { exclude: ["nothing"] })).rejects.toMatchObject({
    code: "ERR_UNKNOWN_LAYER",
  });
  await expect(convert(module, "sparsegpt", x, { exclude: ["*"] })).rejects.toMatchObject({
    code: "ERR_NO_LAYERS",
  });
  await expect(convert(module, "sparsegpt", x, { pattern: "4:2" })).rejects.toMatchObject({
    code: "ERR_CONFIG_VALUE",
  });
});

it("refuses inputs that aren't finite, constraints, and a missing loader", async () => {
  const { space } = await smallSpace({});
  const bad = Tensor.from(new Float32Array(8 * 7 * 5).fill(Number.NaN), [1, 8, 7, 5]);
  const searchWith = (config: object, constraints = {}) =>
    new SparseGptSearcher().search(space, constraints, x, { verbose: false, ...config });
  await expect(searchWith({ dataLoader: [[bad]] })).rejects.toMatchObject({ code: "ERR_ACTIVATION_NAN" });
  await expect(searchWith({})).rejects.toMatchObject({ code: "ERR_NO_CALIBRATION_DATA" });
  await expect(searchWith({ dataLoader: [[x]] }, { params: "50%" })).rejects.toMatchObject({
    code: "ERR_CONSTRAINT_VALUE",
  });
  await expect(searchWith({ dataLoader: [[x]], layerDensities: { conv: 0.3 } })).rejects.toMatchObject({
    code: "ERR_CHOICE",
  });
  expect(Object.values(space.active)).toEqual([1, 1, 1]);
  expect(space).toBeInstanceOf(SparseSpace);
  const { subnet } = await searchWith({ dataLoader: [[x]], layerDensities: { conv: 1 } });
  expect(space.active).toEqual({ conv: 1, linear: 0.5, projection: 0.5 });
  expect(subnet.namedBuffers().length).toBe(2);
});

it("prices densities", async () => {
  const { module, space } = await smallSpace({});
  const params = module.namedParameters().reduce((sum, { tensor }) => sum + tensor.data().length, 0);
  const weights = space.layers.reduce((sum, { elements }) => sum + elements, 0);
  const half = space.uniform();
  expect(space.cost({}, "params")).toBe(params);
  expect(space.cost(half, "params")).toBe(params - weights / 2);
  expect(space.cost(half, "density")).toBeCloseTo(0.5, 12);
  expect(space.cost(half, "macs")).toBeCloseTo(space.cost({}, "macs") / 2, 0);
  expect(space.cost(half, "flops")).toBe(2 * space.cost(half, "macs"));
});
