/** Ranking channels over layers: scores and shares against PyTorch's own numbers, structures by hand. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, crossEntropy, Module, type SearchSpace, Tensor, TensorDataLoader } from "../../../lib";
import { type RankingSearchConfig, RankingSearcher } from "../../../lib/entries/search";
import { areRanks, configOfShare, rankedChannels } from "../../../lib/search/width/channel-ranking";
import type { ChannelRank } from "../../../lib/space/importance";
import type { Hyperparameter } from "../../../lib/space/types";
import { runPython } from "../../data/python";
import { expectCode } from "../../support/tensors";

const fixtures = path.join(__dirname, "..", "..", "fixtures");
const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-ranking-"));
const file = path.join(folder, "chain.pt");
const input = Tensor.from(new Float32Array(2 * 64), [2, 1, 8, 8]);
let loader: TensorDataLoader;
let config: Partial<RankingSearchConfig>;

/** A chain: three convolutions with batch norms, of which the first two are alike, then two linear layers. */
const CHAIN = `import json, sys, torch
from torch import nn
torch.manual_seed(3)
def conv(i, o): return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
net = nn.Sequential(conv(1, 12), conv(12, 20), conv(20, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 10)).eval()
convs, linears = [net[i][0] for i in range(3)], [net[5], net[7]]
torch.jit.trace(net, torch.zeros(2, 1, 8, 8)).save(sys.argv[1])
def score(made, read):
    votes = [made.weight.detach().flatten(1).double().norm(dim=1), read.weight.detach().transpose(0, 1).flatten(1).double().norm(dim=1)]
    return sum(v / v.mean() for v in votes) / 2
layers = convs + linears
print(json.dumps([score(a, b).sort(descending=True).values.tolist() for a, b in zip(layers, layers[1:])]))`;
let expectedScores: number[][];
let space: SearchSpace;

beforeAll(async () => {
  expectedScores = runPython<number[][]>(CHAIN, file);
  loader = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
    keys: ["train_images", "train_labels"],
    batchSize: 64,
  });
  space = await open({ importance: "l2" });
  config = {
    scoreFunc: crossEntropy(loader, { maxBatches: 1 }),
    dataLoader: loader,
    maxIterDataLoader: 1,
    verbose: false,
  };
});
afterAll(() => rmSync(folder, { recursive: true }));

async function open(settings: object): Promise<SearchSpace> {
  return convert(await Module.load(file), "fastnas", input, { channelDivisor: 1, ...settings });
}

it("gives the norms that PyTorch's weights have, and which layers are alike", async () => {
  const byName = await space.rankChannels({ importance: "l2" });
  const ranks = space.hyperparameters.map(({ name }) => byName[name] as ChannelRank);
  expect(ranks.map(({ scores }) => scores.length)).toEqual([12, 20, 16, 24]);
  for (const [at, { scores }] of ranks.entries())
    for (const [channel, score] of scores.entries())
      expect(score).toBeCloseTo(expectedScores[at]?.[channel] as number, 5);
  const [first, second, third, fourth] = ranks.map(({ structure }) => structure);
  expect(first).toBe(second); // made and read by convolutions, with a batch norm between them
  expect(new Set([first, third, fourth]).size).toBe(3); // read by a linear layer; made by one
});

it.each(["global", "isomorphic", "local"] as const)(
  "drops the channels that a sort of PyTorch's norms says: %s",
  { timeout: 60_000 },
  async (ranking) => {
    const { stateDict } = await new RankingSearcher().search(space, { flops: "55%" }, input, {
      ...config,
      ranking,
    });
    const { share, best } = stateDict;
    const widths = space.hyperparameters.map(({ name }) => best?.config[name]);
    const classes = { global: [[0, 1, 2, 3]], isomorphic: [[0, 1], [2], [3]], local: [[0], [1], [2], [3]] }[
      ranking
    ];
    const expected = expectedScores.map((scores) => scores.length);
    for (const members of classes) {
      const all = members.flatMap((at) => (expectedScores[at] as number[]).map((score) => ({ at, score })));
      all.sort((a, b) => a.score - b.score);
      for (const { at } of all.slice(0, Math.floor((share as number) * all.length + 1e-9)))
        expected[at] = Math.max(1, (expected[at] as number) - 1); // the smallest choice is one channel
    }
    expect(widths).toEqual(expected);
    const full = stateDict.fullCosts?.flops as number;
    expect(best?.costs.flops).toBeLessThanOrEqual(0.55 * full);
    // No smaller share would do: near the bound, one channel is at most a few percent of the FLOPs.
    expect(best?.costs.flops).toBeGreaterThan(0.45 * full);
  },
);

it("takes measures that learn, of the same data", { timeout: 60_000 }, async () => {
  const learned = await open({ importance: "activation", data: loader, maxBatches: 1 });
  const { stateDict } = await new RankingSearcher().search(learned, { params: "60%" }, input, {
    ...config,
    importance: "activation",
  });
  expect(stateDict.ranks?.importance).toBe("activation");
  expect(Number.isFinite(stateDict.best?.score)).toBe(true);
  const noData = { ...config, dataLoader: null, importance: "activation" as const };
  const without = () => new RankingSearcher().search(learned, { params: "60%" }, input, noData);
  await expectCode("ERR_CONFIG_VALUE", without);
  await expectCode("ERR_CONFIG_VALUE", () => learned.rankChannels({ importance: "none" }));
  await expectCode("ERR_CONFIG_VALUE", () => learned.rankChannels({ importance: "taylor" }));
  await expectCode("ERR_CONFIG_VALUE", () => learned.rankChannels({ importance: "l3" as never }));
});

it("keeps what it measured when the bounds change", { timeout: 60_000 }, async () => {
  const checkpoint = path.join(folder, "ranking.safetensors");
  const wide = await new RankingSearcher().search(space, { flops: "80%" }, input, { ...config, checkpoint });
  const narrow = await new RankingSearcher().search(space, { flops: "40%" }, input, {
    ...config,
    checkpoint,
  });
  const fresh = await new RankingSearcher().search(space, { flops: "40%" }, input, config);
  expect(narrow.stateDict).toEqual(fresh.stateDict);
  expect(narrow.stateDict.share as number).toBeGreaterThan(wide.stateDict.share as number);
  // Another ranking of the same scores gives its own subnet.
  const local = { ...config, ranking: "local" as const };
  const again = await new RankingSearcher().search(space, { flops: "40%" }, input, { ...local, checkpoint });
  const direct = await new RankingSearcher().search(space, { flops: "40%" }, input, local);
  expect(again.stateDict).toEqual(direct.stateDict);
  expect(again.stateDict.best?.config).not.toEqual(narrow.stateDict.best?.config);
  // Another measure is taken anew.
  const other = await new RankingSearcher().search(space, { flops: "40%" }, input, {
    ...config,
    checkpoint,
    importance: "fpgm",
  });
  expect(other.stateDict.ranks?.importance).toBe("fpgm");
});

it("measures anew what a checkpoint has wrong", { timeout: 60_000 }, async () => {
  const direct = await new RankingSearcher().search(space, { flops: "40%" }, input, config);
  const channels = direct.stateDict.ranks?.channels as Record<string, ChannelRank>;
  const [name = ""] = Object.keys(channels);
  for (const forged of [
    {},
    { ...channels, [name]: null },
    { ...channels, [name]: { structure: "x", scores: 5 } },
    { ...channels, [name]: { structure: 1, scores: channels[name]?.scores } },
    { ...channels, [name]: { structure: "x", scores: [Number.NaN] } },
  ])
    expect(areRanks(space.hyperparameters, forged)).toBe(false);
  expect(areRanks(space.hyperparameters, channels)).toBe(true);
});

it(
  "leaves out the blocks that are missed least, where widths don't suffice",
  { timeout: 60_000 },
  async () => {
    const blocks = await convert(
      await Module.load(path.join(fixtures, "digits_resnet.pt")),
      "fastnas",
      Tensor.from(new Float32Array(64), [1, 1, 8, 8]),
      { channelDivisor: 8, exclude: ["outChannels"] },
    );
    const depths = blocks.hyperparameters.filter(({ choices }) => choices.length > 1);
    expect(depths.length).toBeGreaterThan(1);
    expect(depths.every(({ kind }) => kind === "depth")).toBe(true);
    const { stateDict } = await new RankingSearcher().search(blocks, { flops: "80%" }, input, config);
    const scores = stateDict.withoutBlock as Record<string, number>;
    const left = depths.filter(({ name }) => stateDict.best?.config[name] === 0).map(({ name }) => name);
    const order = depths
      .map(({ name }) => name)
      .sort((a, b) => (scores[b] as number) - (scores[a] as number));
    expect(left.sort()).toEqual(order.slice(0, left.length).sort());
    expect(left.length).toBeGreaterThan(0);
    const fewer = { ...blocks.largestConfig };
    for (const name of order.slice(0, left.length - 1)) fewer[name] = 0;
    expect(blocks.cost(fewer, "flops")).toBeGreaterThan(0.8 * (stateDict.fullCosts?.flops as number));
  },
);

describe("widths of a share", () => {
  it("never drop a channel before a less important one of its class", () => {
    const scores = fc.array(fc.float({ min: 0, max: 8, noNaN: true }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(scores, { minLength: 1, maxLength: 5 }), fc.nat(60), (lists, bound) => {
        const hyperparameters = lists.map(
          (list, at) =>
            ({
              name: `h${at}`,
              kind: "outChannels",
              full: list.length,
              choices: list.map((_, k) => k + 1),
            }) as unknown as Hyperparameter,
        );
        const ranks = Object.fromEntries(
          lists.map((list, at) => [`h${at}`, { structure: "", scores: [...list].sort((a, b) => b - a) }]),
        );
        const classes = rankedChannels(hyperparameters, ranks, "global");
        const sum = (each: Record<string, number>): number =>
          Object.values(each).reduce((total, value) => total + value, 0);
        const { config: found } = configOfShare(classes, {}, (each) => sum(each) <= bound);
        const kept: number[] = [];
        const dropped: number[] = [];
        hyperparameters.forEach(({ name }, at) => {
          const own = ranks[`h${at}`]?.scores as number[];
          kept.push(...own.slice(1, found[name])); // the first channel is never dropped
          dropped.push(...own.slice(found[name]));
        });
        expect(Math.max(-1, ...dropped)).toBeLessThanOrEqual(Math.min(9, ...kept));
        const total = lists.flat().length;
        if (bound >= lists.length) expect(sum(found)).toBeLessThanOrEqual(bound);
        if (bound >= total) expect(sum(found)).toBe(total);
      }),
    );
  });
});
