/** FastNAS end to end: the digits ResNet at 60 % FLOPs. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  convert,
  Module,
  profile,
  type ScoreFunction,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { runPython } from "../data/python";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const file = path.join(root, "test", "fixtures", "digits_resnet.pt");
const data = path.join(root, "test", "fixtures", "digits.npz");
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

let folder: string;
let accuracy: ScoreFunction;
let train: TensorDataLoader;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-digits-"));
  accuracy = topKAccuracy(
    await TensorDataLoader.fromNpz(data, { keys: ["test_images", "test_labels"], batchSize: 250 }),
  );
  train = await TensorDataLoader.fromNpz(data, { keys: ["train_images"], batchSize: 128 });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function search(constraints: Constraints, config: object = {}) {
  const module = await Module.load(file);
  const space = await convert(module, "fastnas", dummyInput());
  const full = {
    scoreFunc: accuracy,
    dataLoader: train,
    maxIterDataLoader: 2,
    maxChoices: 2,
    verbose: false,
  };
  const result = await new BinarySearcher().search(space, constraints, dummyInput(), { ...full, ...config });
  return { ...result, space };
}

describe("BinarySearcher on the digits ResNet", { timeout: 240_000 }, () => {
  it("finds a subnet within 60 % FLOPs that PyTorch gives the same accuracy", async () => {
    const { subnet, stateDict } = await search({ flops: "60%" });
    const whole = stateDict.fullCosts!;
    const { flops, params, size } = await profile(subnet, dummyInput(), { metrics: ["flops"] });
    expect(flops).toBeLessThanOrEqual(0.6 * whole.flops);
    expect(stateDict.best?.costs).toMatchObject({ flops, params, size });
    expect(stateDict.fullScore).toBe(0.998);
    expect(stateDict.best!.score).toBeGreaterThan(0.9);
    const saved = path.join(folder, "subnet.pt");
    await subnet.save(saved);
    const inPython = runPython<{ accuracy: number; params: number }>(
      `import sys, json, numpy as np, torch
torch.set_num_threads(1)
m = torch.jit.load(sys.argv[1]).eval(); d = np.load(sys.argv[2])
with torch.no_grad(): right = (m(torch.from_numpy(d["test_images"])).argmax(1).numpy() == d["test_labels"]).mean()
print(json.dumps({"accuracy": right, "params": sum(p.numel() for p in m.parameters())}))`,
      saved,
      data,
    );
    expect(inPython.params).toBe(params);
    expect(inPython.accuracy).toBeCloseTo(stateDict.best!.score, 3);
  });

  it("meets several bounds at once", async () => {
    const { stateDict, subnet } = await search(
      { flops: "70%", params: "50%", size: 1_500_000 },
      { maxChoices: 1 },
    );
    const whole = stateDict.fullCosts!;
    const { flops, params, size } = await profile(subnet, dummyInput(), { metrics: ["flops"] });
    expect(flops).toBeLessThanOrEqual(0.7 * whole.flops);
    expect(params).toBeLessThanOrEqual(0.5 * whole.params);
    expect(size).toBeLessThanOrEqual(1_500_000);
  });

  it("resumes after an abort, and ends as an uninterrupted search", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    const abort = new AbortController();
    let scores = 0;
    const scoreFunc: ScoreFunction = (model, context) => {
      scores += 1;
      if (scores === 4) abort.abort();
      return accuracy(model, context);
    };
    const short = { maxChoices: 1, maxIterDataLoader: 1 };
    await expectCode("ERR_ABORTED", () =>
      search({ flops: "60%" }, { ...short, checkpoint, scoreFunc, signal: abort.signal }),
    );
    expect(existsSync(checkpoint)).toBe(true);
    const resumed = await search({ flops: "60%" }, { ...short, checkpoint });
    const straight = await search({ flops: "60%" }, short);
    expect(resumed.stateDict).toEqual(straight.stateDict);
  });

  it("says what the smallest reachable value is", async () => {
    const { message } = await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => search({ params: "0.1%" }));
    expect(message).toMatch(/smallest reachable is \d+ \(/);
  });
});
