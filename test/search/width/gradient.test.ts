/** First-order importance under a knapsack: scores against gradients of PyTorch's, optima against trying everything. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import {
  convert,
  crossEntropy,
  GradientSearcher,
  Module,
  type SearchSpace,
  type SpaceMetric,
  Tensor,
  TensorDataLoader,
} from "../../../lib";
import type { GradientSearchConfig } from "../../../lib/entries/search";
import { runPython } from "../../data/python";
import { expectCode } from "../../support/tensors";

const fixtures = path.join(__dirname, "..", "..", "fixtures");
const file = path.join(fixtures, "digits_cnn.pt");
const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-gradient-"));
let loader: TensorDataLoader;
let space: SearchSpace;
let config: Partial<GradientSearchConfig>;

beforeAll(async () => {
  loader = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: ["train_images", "train_labels"],
    batchSize: 32,
  });
  const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  space = await convert(await Module.load(file), "fastnas", input, { channelDivisor: 32, depth: false });
  config = {
    scoreFunc: crossEntropy(loader, { maxBatches: 2 }),
    dataLoader: loader,
    maxIterDataLoader: 3,
    verbose: false,
  };
});
afterAll(() => rmSync(folder, { recursive: true }));

it("scores channels as PyTorch's gradients of what reads them do", { timeout: 120_000 }, async () => {
  const scores = await space.channelScores({ data: loader, maxBatches: 3 });
  // Of the channels that the last linear layer reads, and of no other layer: the full module, saved after reordering.
  const saved = path.join(folder, "ordered.pt");
  space.select(space.fullConfig);
  await (await space.export()).save(saved);
  const expectedScores = runPython<Record<string, number[]>>(
    `import json, sys, numpy, torch
m = torch.jit.load(sys.argv[1]).eval()
data = numpy.load(sys.argv[2])
x, y = torch.tensor(data["train_images"]).float(), torch.tensor(data["train_labels"]).long()
weights = {n: p for n, p in m.named_parameters() if p.dim() >= 2}
for p in m.parameters(): p.requires_grad_(True)
out = {n: 0 for n in weights}
for b in range(3):
    loss = torch.nn.functional.cross_entropy(m(x[b * 32:b * 32 + 32]), y[b * 32:b * 32 + 32])
    for (n, w), g in zip(weights.items(), torch.autograd.grad(loss, list(weights.values()))):
        dims = [d for d in range(w.dim()) if d != 1]
        out[n] = out[n] + (w * g).sum(dims).abs() / 3
print(json.dumps({n: v.tolist() for n, v in out.items()}))`,
    saved,
    path.join(fixtures, "digits.npz"),
  );
  // Every hyperparameter's channels are read by exactly one layer in this chain of layers.
  let compared = 0;
  for (const [name, list] of Object.entries(scores)) {
    const reader = Object.values(expectedScores).find(
      (other) => other.length === list.length && Math.abs((other[0] as number) - (list[0] as number)) < 1e-5,
    );
    if (reader === undefined) continue;
    compared += 1;
    for (const [at, score] of list.entries()) expect(score, name).toBeCloseTo(reader[at] as number, 5);
  }
  expect(compared).toBeGreaterThanOrEqual(5);
});

it("finds the least sum of dropped scores within two budgets", { timeout: 120_000 }, async () => {
  // Few choices, so that all can be tried.
  const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
  const coarse = await convert(await Module.load(file), "fastnas", input, {
    channelDivisor: 48,
    depth: false,
  });
  const subnets = coarse.hyperparameters.reduce((product, { choices }) => product * choices.length, 1);
  expect(subnets).toBeGreaterThan(500);
  expect(subnets).toBeLessThan(20_000);
  const { stateDict, subnet } = await new GradientSearcher().search(
    coarse,
    { flops: "60%", params: "60%" },
    null,
    config,
  );
  const { channelScores, knapsack, best, bounds } = stateDict;
  expect(knapsack?.gap).toBe(0);
  const harmOf = (widths: Record<string, number>): number =>
    Object.entries(widths).reduce((sum, [name, width]) => {
      const scores = channelScores?.[name] as number[];
      return sum + scores.slice(width).reduce((total, score) => total + score, 0);
    }, 0);
  let least = Number.POSITIVE_INFINITY;
  const visit = (at: number, widths: Record<string, number>): void => {
    const hyperparameter = coarse.hyperparameters[at];
    if (hyperparameter === undefined) {
      const fits = Object.entries(bounds as object).every(
        ([metric, bound]) => coarse.cost(widths, metric as SpaceMetric) <= bound,
      );
      if (fits) least = Math.min(least, harmOf(widths));
      return;
    }
    for (const choice of hyperparameter.choices) visit(at + 1, { ...widths, [hyperparameter.name]: choice });
  };
  visit(0, {});
  expect(knapsack?.objective).toBeCloseTo(least, 6);
  expect(harmOf(best?.config as Record<string, number>)).toBeCloseTo(least, 6);
  expect(subnet.history[0]).toMatchObject({ search: { searcher: "GradientSearcher" } });
});

it("goes on from its checkpoint, and needs data", { timeout: 120_000 }, async () => {
  const checkpoint = path.join(folder, "state.safetensors");
  const stop = new AbortController();
  const interrupted = {
    ...config,
    checkpoint,
    signal: stop.signal,
    scoreFunc: async () => {
      stop.abort();
      return 0;
    },
  };
  await expectCode("ERR_ABORTED", () =>
    new GradientSearcher().search(space, { flops: "60%" }, null, interrupted),
  );
  const straight = await new GradientSearcher().search(space, { flops: "60%" }, null, config);
  const resumed = await new GradientSearcher().search(space, { flops: "60%" }, null, {
    ...config,
    checkpoint,
    maxIterDataLoader: 3,
  });
  expect(resumed.stateDict).toEqual(straight.stateDict);
  await expectCode("ERR_CONFIG_VALUE", () =>
    new GradientSearcher().search(space, { flops: "60%" }, null, { ...config, dataLoader: null }),
  );
});

it("scores channels of the whole model, whatever is selected", { timeout: 120_000 }, async () => {
  const example = Tensor.from(new Float32Array(64).fill(0.5), [1, 1, 8, 8]);
  const module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
  const resnet = await convert(module, "fastnas", example);
  const data = { data: loader, maxBatches: 2 };
  const whole = await resnet.channelScores(data);
  const before = ((await resnet.forward(example)) as Tensor).data();
  resnet.select(resnet.smallestConfig); // without a single block that can be left out
  const smallest = ((await resnet.forward(example)) as Tensor).data();
  expect(await resnet.channelScores(data)).toEqual(whole);
  expect(((await resnet.forward(example)) as Tensor).data()).toEqual(smallest);
  resnet.select(resnet.fullConfig);
  expect(((await resnet.forward(example)) as Tensor).data()).toEqual(before);
  resnet.close();
});
