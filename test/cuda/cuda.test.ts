// What runs on a CUDA device must be what runs on the CPU. Skipped where LibTorch sees no such device: `npm run test:cuda`.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  type DeviceMemory,
  deviceMemory,
  Module,
  profile,
  resetDeviceMemoryPeak,
  type SearchSpace,
  setGraphCapture,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { addon } from "../../lib/native/addon";

const fixtures = path.join(__dirname, "..", "fixtures");
const digits = path.join(fixtures, "digits.npz");
const file = path.join(fixtures, "digits_resnet.pt");
const example = (): Tensor => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const { cuda } = addon().versions();

/** Largest difference between two float32 tensors' elements. */
function difference(a: Tensor, b: Tensor): number {
  const [left, right] = [a.data() as Float32Array, b.data() as Float32Array];
  return left.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (right[i] as number))), 0);
}

describe.skipIf(!cuda)("on a CUDA device", () => {
  let onCpu: Module;
  let onCuda: Module;
  let test: TensorDataLoader;
  let images: Tensor;
  beforeAll(async () => {
    onCpu = await Module.load(file);
    onCuda = await Module.load(file, { device: "cuda:0" });
    onCpu.eval();
    onCuda.eval();
    test = await TensorDataLoader.fromNpz(digits, { keys: ["test_images", "test_labels"], batchSize: 100 });
    const [first] = test;
    images = (first as Record<string, Tensor>).test_images as Tensor;
  });
  afterAll(() => {
    onCpu.close();
    onCuda.close();
  });

  it("forwards inputs from the CPU as the CPU does, and gives the outputs' elements", async () => {
    expect(onCuda.device).toBe("cuda:0");
    const expected = (await onCpu.forward(images)) as Tensor;
    const actual = (await onCuda.forward(images)) as Tensor;
    expect(actual.device).toBe("cuda:0");
    expect(actual.shape).toEqual(expected.shape);
    expect(difference(actual, expected)).toBeLessThan(1e-2); // TF32 may be on
  });

  it("takes its own outputs as inputs without a way over the CPU", async () => {
    const identity = await Module.load(path.join(fixtures, "ioforms", "identity.pt"), { device: "cuda:0" });
    const once = (await identity.forward(images)) as Tensor;
    const twice = (await identity.forward(once)) as Tensor;
    expect(twice.device).toBe("cuda:0");
    expect(difference(twice, images)).toBe(0);
    identity.close();
  });

  it("moves to the device and back", async () => {
    const module = await Module.load(file);
    await module.to("cuda:0");
    expect(module.namedParameters().every(({ tensor }) => tensor.device === "cuda:0")).toBe(true);
    await module.to("cpu");
    expect(module.device).toBe("cpu");
    const outputs = [await onCpu.forward(images), await module.eval().forward(images)] as Tensor[];
    expect(difference(outputs[0] as Tensor, outputs[1] as Tensor)).toBe(0);
    module.close();
  });

  it("scores data on the CPU as the CPU does", async () => {
    expect(await topKAccuracy(test)(onCuda)).toBeCloseTo(await topKAccuracy(test)(onCpu), 2);
    expect(await crossEntropy(test)(onCuda)).toBeCloseTo(await crossEntropy(test)(onCpu), 2);
  });

  it("gets every batch of a shuffled loader whole, ahead of time, pass after pass", async () => {
    const identity = await Module.load(path.join(fixtures, "ioforms", "identity.pt"), { device: "cuda:0" });
    const rows = Float32Array.from({ length: 512 * 4096 }, (_, i) => Math.fround(Math.sin(i)));
    const x = Tensor.from(rows, [512, 4096]);
    // The identity's cross-entropy depends on every element of every batch, and on its target's place.
    const y = Tensor.from(BigInt64Array.from({ length: 512 }, (_, i) => BigInt((i * 37) % 4096)));
    for (const batchSize of [1, 50, 512]) {
      const loader = TensorDataLoader.fromTensors({ x, y }, { batchSize, shuffle: true, seed: 7 });
      const here = await Module.load(path.join(fixtures, "ioforms", "identity.pt"));
      const expected = await crossEntropy(loader)(here);
      const scores = [];
      for (let pass = 0; pass < 3; pass++) scores.push(await crossEntropy(loader)(identity));
      for (const score of scores) expect(score).toBeCloseTo(expected, 4);
      expect(new Set(scores).size).toBe(1);
      here.close();
    }
    identity.close();
  });

  it("scores the same with graphs as without, also after it has moved", async () => {
    const loader = await TensorDataLoader.fromNpz(digits, {
      keys: ["train_images", "train_labels"],
      batchSize: 100,
    });
    const score = crossEntropy(loader, { maxBatches: 12 });
    const module = await Module.load(file, { device: "cuda:0" });
    module.eval();
    try {
      const launched = await score(module);
      setGraphCapture(true);
      // Where graphs are not offered, turning them on changes nothing.
      for (let pass = 0; pass < 3; pass++) expect(await score(module)).toBeCloseTo(launched, 5);
      await module.to("cpu");
      await module.to("cuda:0");
      expect(await score(module)).toBeCloseTo(launched, 5);
    } finally {
      setGraphCapture(false);
      module.close();
    }
  });

  it("stops between batches, and goes on afterwards", async () => {
    const controller = new AbortController();
    const loop = crossEntropy(test);
    const before = await loop(onCuda);
    const stopped = loop(onCuda, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(stopped).rejects.toMatchObject({ code: "ERR_ABORTED" });
    expect(await loop(onCuda)).toBe(before);
  });

  it("counts the allocator's peak, and frees what a pass took", async () => {
    await crossEntropy(test)(onCuda);
    const before = deviceMemory("cuda:0") as DeviceMemory;
    expect(before.allocated).toBeGreaterThan(0);
    resetDeviceMemoryPeak("cuda:0");
    await crossEntropy(test)(onCuda);
    const after = deviceMemory("cuda:0") as DeviceMemory;
    expect(after.peakAllocated).toBeGreaterThan(before.allocated);
    expect(after.peakReserved).toBeGreaterThanOrEqual(after.peakAllocated);
    expect(after.allocated).toBe(before.allocated);
  });

  it("says so when the device's memory runs out, and stays usable", async () => {
    const identity = await Module.load(path.join(fixtures, "ioforms", "identity.pt"), { device: "cuda:0" });
    const before = await topKAccuracy(test)(onCuda);
    const kept: Tensor[] = [];
    const gigabyte = Tensor.from(new Float32Array(2 ** 28));
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 256; i++) kept.push((await identity.forward(gigabyte)) as Tensor);
    };
    await expect(fill()).rejects.toMatchObject({ name: "TorchSearchError", code: "ERR_OUT_OF_MEMORY" });
    for (const tensor of [...kept, gigabyte]) tensor.close();
    expect(await topKAccuracy(test)(onCuda)).toBe(before);
    identity.close();
  });

  it("times operators by events: they add up to no more than the whole, and are not the CPU's", async () => {
    const { latency, operators } = await profile(onCuda, example());
    const sum = operators.reduce((total, { latencyMs }) => total + (latencyMs as number), 0);
    expect(sum).toBeGreaterThan(0.2 * (latency?.median as number));
    expect(sum).toBeLessThan(5 * (latency?.median as number));
  });

  it("counts operators alike, and times them", async () => {
    const [here, there] = [await profile(onCpu, example()), await profile(onCuda, example())];
    expect(there.macs).toBe(here.macs);
    expect(there.params).toBe(here.params);
    expect(there.latency?.median).toBeGreaterThan(0);
    expect(there.operators.every(({ latencyMs }) => (latencyMs as number) >= 0)).toBe(true);
  });

  describe("a search space", () => {
    const spaceOn = async (device: string): Promise<SearchSpace> =>
      convert(await Module.load(file, { device }), "fastnas", example());

    it("has the hyperparameters, costs and subnets that it has on the CPU", async () => {
      const [here, there] = [await spaceOn("cpu"), await spaceOn("cuda:0")];
      expect(there.device).toBe("cuda:0");
      expect(there.hyperparameters).toEqual(here.hyperparameters);
      const config = here.smallestConfig;
      expect(there.costs(config)).toEqual(here.costs(config));
      here.select(config);
      there.select(config);
      const [expected, actual] = [await here.forward(images), await there.forward(images)] as Tensor[];
      expect(difference(actual as Tensor, expected as Tensor)).toBeLessThan(1e-2);
      here.close();
      there.close();
    });

    it("is searched within its bound, and exports what loads on the CPU", async () => {
      const space = await spaceOn("cuda:0");
      const train = await TensorDataLoader.fromNpz(digits, {
        keys: ["train_images", "train_labels"],
        batchSize: 128,
      });
      const { subnet, stateDict } = await new BinarySearcher().search(space, { flops: "60%" }, example(), {
        scoreFunc: crossEntropy(train, { maxBatches: 2 }),
        dataLoader: train,
        maxIterDataLoader: 2,
        maxChoices: 2,
        verbose: false,
      });
      const { costs, score } = stateDict.best as NonNullable<typeof stateDict.best>;
      expect(costs.flops).toBeLessThanOrEqual(0.6 * (stateDict.fullCosts?.flops as number));
      const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-cuda-"));
      try {
        await subnet.save(path.join(folder, "subnet.pt"));
        const loaded = await Module.load(path.join(folder, "subnet.pt"), { device: "cpu" });
        expect(await crossEntropy(train, { maxBatches: 2 })(loaded)).toBeCloseTo(score, 2);
        loaded.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
      subnet.close();
      space.close();
    });

    it("measures importances from data on the device", async () => {
      const train = await TensorDataLoader.fromNpz(digits, {
        keys: ["train_images", "train_labels"],
        batchSize: 128,
      });
      for (const importance of ["taylor", "activation"] as const) {
        const module = await Module.load(file, { device: "cuda:0" });
        const space = await convert(module, "fastnas", example(), { importance, data: train, maxBatches: 2 });
        const [expected, actual] = [await onCpu.forward(images), await space.forward(images)] as Tensor[];
        expect(difference(actual as Tensor, expected as Tensor)).toBeLessThan(1e-2);
        space.close();
        module.close();
      }
    });
  });
});
