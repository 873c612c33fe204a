/** Reconstructed layers: what is expected comes from PyTorch's own least squares and from accuracies on held-out data. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, search, Tensor, TensorDataLoader, topKAccuracy } from "../../lib";
import { runPython } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const digits = path.join(fixtures, "digits.npz");
const image = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const ROWS = 96;

let folder: string;
let file: string;
let inputs: number[];

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-reconstruction-"));
  file = path.join(folder, "m.pt");
  inputs = runPython<number[]>(
    `import sys, json, torch
torch.manual_seed(11)
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(6, 12); self.second = torch.nn.Linear(12, 5); self.third = torch.nn.Linear(5, 3, bias=False)
    def forward(self, x):
        return self.third(torch.tanh(self.second(torch.relu(self.first(x)))))
m = M().eval(); torch.jit.trace(m, torch.zeros(1, 6)).save(sys.argv[1])
print(json.dumps((torch.randn(${ROWS}, 6) + 0.5).flatten().tolist()))`,
    file,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const batches = (size: number): Tensor[][] =>
  Array.from({ length: ROWS / size }, (_, at) => [
    Tensor.from(new Float32Array(inputs.slice(at * size * 6, (at + 1) * size * 6)), [size, 6]),
  ]);

async function narrowed() {
  const module = await Module.load(file);
  const space = await convert(module, "fastnas", Tensor.from(new Float32Array(6), [1, 6]), {
    channelDivisor: 1,
    importance: "none",
  });
  const [first, second] = space.hyperparameters.map(({ name }) => name) as [string, string];
  space.select({ [first]: 7, [second]: 3 });
  return { module, space };
}

describe("a reconstructed subnet", () => {
  it("has the weights and biases that PyTorch's least squares give", async () => {
    const { space } = await narrowed();
    const layers = await space.reconstruct(batches(32), { damping: 1e-7 });
    expect(layers.map(({ parameter }) => parameter)).toEqual(["second.weight", "third.weight"]);
    const saved = path.join(folder, "subnet.pt");
    const subnet = await space.export();
    await subnet.save(saved);
    const found = runPython<{ weights: number; before: number[]; after: number[] }>(
      `import sys, json, torch
m, s = torch.jit.load(sys.argv[1]), torch.jit.load(sys.argv[2])
x = torch.tensor(json.loads(sys.argv[3])).view(-1, 6)
full, got = dict(m.named_parameters()), dict(s.named_parameters())
far, before, after = 0, [], []
with torch.no_grad():
    h = torch.relu(m.first(x)).double(); g = torch.tanh(m.second(h.float())).double()
    # [weight, bias] by ordinary least squares of the kept outputs on the kept inputs and a constant.
    w, b = full["second.weight"].double(), full["second.bias"].double()
    y = (h @ w.T + b)[:, :3]
    a = torch.cat([h[:, :7], torch.ones(len(h), 1)], 1)
    best = torch.linalg.lstsq(a, y).solution
    far = max(far, (best[:7].T - got["second.weight"]).abs().max().item(), (best[7] - got["second.bias"]).abs().max().item())
    outputs = (h @ w.T)[:, :3]
    before.append(((h[:, 7:] @ w[:3, 7:].T) ** 2).sum().item() / (outputs ** 2).sum().item())
    after.append(((y - a @ best) ** 2).sum().item() / (outputs ** 2).sum().item())
    w = full["third.weight"].double(); y = g @ w.T
    best = torch.linalg.lstsq(g[:, :3], y).solution
    far = max(far, (best.T - got["third.weight"]).abs().max().item())
    before.append(((g[:, 3:] @ w[:, 3:].T) ** 2).sum().item() / (y ** 2).sum().item())
    after.append(((y - g[:, :3] @ best) ** 2).sum().item() / (y ** 2).sum().item())
print(json.dumps({"weights": far, "before": before, "after": after}))`,
      file,
      saved,
      JSON.stringify(inputs),
    );
    expect(found.weights).toBeLessThan(1e-4);
    for (const [at, layer] of layers.entries()) {
      expect(layer.before).toBeCloseTo(found.before[at] as number, 6);
      expect(layer.after).toBeCloseTo(found.after[at] as number, 6);
      expect(layer.after).toBeLessThan(layer.before);
    }
    expect(subnet.history.at(-1)?.result.reconstructedLayers).toBe(2);
  });

  it("is the same in one pass and in many, in large and in small batches", async () => {
    const outputs: number[][] = [];
    for (const [size, memoryBudget] of [
      [32, 2 ** 30],
      [8, 1],
    ] as const) {
      const { module, space } = await narrowed();
      const phases = new Set<string>();
      await space.reconstruct(batches(size), {
        memoryBudget,
        onProgress: ({ phase }) => phases.add(phase),
      });
      expect([...phases]).toEqual(["reconstruct"]);
      outputs.push(numbersOf((await space.forward(...(batches(96)[0] as Tensor[]))) as Tensor) as number[]);
      module.close();
    }
    const [one, many] = outputs as [number[], number[]];
    expect(Math.max(...one.map((value, at) => Math.abs(value - (many[at] as number))))).toBeLessThan(1e-5);
  });

  it("is forgotten when another subnet is selected, and kept when statistics are averaged", async () => {
    const { space } = await narrowed();
    const [batch] = batches(96);
    const run = async () => numbersOf((await space.forward(...(batch as Tensor[]))) as Tensor);
    const plain = await run();
    await space.reconstruct(batches(32));
    const better = await run();
    expect(better).not.toEqual(plain);
    await space.recalibrate(batches(32));
    expect(await run()).toEqual(better);
    space.select(space.active);
    expect(await run()).toEqual(plain);
    expect((await space.export()).history.at(-1)?.result).not.toHaveProperty("reconstructedLayers");
  });

  it("classifies held-out digits better, without training", { timeout: 300_000 }, async () => {
    const train = await TensorDataLoader.fromNpz(digits, { keys: ["train_images"], batchSize: 64 });
    const test = await TensorDataLoader.fromNpz(digits, {
      keys: ["test_images", "test_labels"],
      batchSize: 250,
    });
    const module = await Module.load(path.join(fixtures, "digits_vit.pt"));
    const space = await convert(module, "fastnas", image(), { channelDivisor: 8, depth: false });
    const half = space.hyperparameters.map(({ name, full, choices }) => [
      name,
      choices.filter((choice) => choice <= full / 2).at(-1) ?? full,
    ]);
    space.select(Object.fromEntries(half) as Record<string, number>);
    const before = await topKAccuracy(test)(space);
    await space.reconstruct(train, { maxBatches: 8 });
    const after = await topKAccuracy(test)(space);
    expect(after).toBeGreaterThan(before + 0.2);
    expect(await topKAccuracy(test)(await space.export())).toBeCloseTo(after, 6);
  });
});

describe("a reconstruction", () => {
  it("leaves weights alone whose zeros the history vouches for", async () => {
    const module = await Module.load(path.join(fixtures, "digits_vit.pt"));
    const sparse = await convert(module, "sparse_magnitude", image(), { pattern: "2:4" });
    const { subnet } = await search(sparse, {}, image(), { masks: false });
    const space = await convert(subnet, "fastnas", image(), {
      depth: false,
      importance: "none",
      channelDivisor: 8,
    });
    const train = await TensorDataLoader.fromNpz(digits, { keys: ["train_images"], batchSize: 64 });
    space.select(space.smallestConfig);
    const layers = await space.reconstruct(train, { maxBatches: 1 });
    expect(layers.filter(({ parameter }) => parameter.includes("mlp"))).toEqual([]);
  });

  it("has a code and a remedy", async () => {
    const { module, space } = await narrowed();
    await expectCode("ERR_EMPTY_LOADER", () => space.reconstruct([]));
    await expectCode("ERR_ARGUMENT", () => space.reconstruct(3 as never));
    await expectCode("ERR_CONFIG_VALUE", () => space.reconstruct(batches(32), { damping: 0 }));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () =>
      space.reconstruct(batches(32), { dampening: 1 } as never),
    );
    const nan = [[Tensor.from(new Float32Array(6).fill(Number.NaN), [1, 6])]];
    await expectCode("ERR_ACTIVATION_NAN", () => space.reconstruct(nan));
    const once = batches(32)[Symbol.iterator]();
    await expectCode("ERR_LOADER_ONE_SHOT", () => space.reconstruct(once as never, { memoryBudget: 1 }));
    const controller = new AbortController();
    const aborted = space.reconstruct(batches(32), {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expectCode("ERR_ABORTED", () => aborted);
    const running = space.reconstruct(batches(32));
    await expectCode("ERR_BUSY", () => space.reconstruct(batches(32)));
    expect((await running).length).toBe(2);
    const late = space.reconstruct(batches(32));
    space.select(space.smallestConfig);
    await expectCode("ERR_BUSY", () => late);
    space.select(space.fullConfig);
    expect(await space.reconstruct(batches(32))).toEqual([]);
    module.close();
    await expectCode("ERR_CLOSED", () => space.reconstruct(batches(32)));
  });
});
