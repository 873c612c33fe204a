/** Training by virtual shards: the same bits for any number of processes, and what PyTorch computes. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundle } from "../support/killable";
import { freePort, rankVariables, startRank } from "../support/ranks";
import { python, root } from "../support/zoo";

/** How one training went on one rank: its digest, or its error. */
interface Trained {
  weights?: string;
  losses?: number[];
  score?: number | null;
  error?: string;
}

let folder: string;
let script: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-training-"));
  script = path.join(folder, "run.cjs");
  const fixtures = path.join(root, "test", "fixtures");
  const source = `
    import { joinGroup, TorchSearchError } from "./lib";
    import { trainingRun } from "./test/support/training-runs";
    const jobs = JSON.parse(process.argv[2]);
    const run = async () => {
      const group = process.env.WORLD_SIZE === "1" ? null : await joinGroup({ timeout: 60, lease: 2 });
      const found = [];
      for (const job of jobs) {
        try {
          found.push(await trainingRun(job, { fixtures: ${JSON.stringify(fixtures)}, group }));
        } catch (error) {
          found.push({ error: error instanceof TorchSearchError ? error.code + " " + error.message : error.stack });
        }
      }
      await group?.leave();
      process.stdout.write(JSON.stringify(found));
    };
    run();
  `;
  const external = ["highs", "bindings", "sharp", "@observablehq/plot", "linkedom"];
  await bundle(source, { resolveDir: root, outfile: script, external });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What came out of some jobs on each rank; ranks may have jobs of their own. */
async function results(worldSize: number, jobs: (rank: number) => object[]): Promise<Trained[][]> {
  const port = await freePort();
  const ranks = Array.from({ length: worldSize }, (_, rank) =>
    startRank([script, JSON.stringify(jobs(rank))], rankVariables(rank, worldSize, port)),
  );
  const ended = await Promise.all(ranks.map((rank) => rank.ended));
  for (const { code, errors } of ended) expect(code, errors).toBe(0);
  return ended.map(({ output }) => JSON.parse(output) as Trained[]);
}

/** One step of SGD by the weighted mean of three shards' gradients and changes of buffers, in PyTorch. */
const ONE_STEP = `
import json, sys, numpy, torch
fixtures, saved = sys.argv[1:]
torch.set_num_threads(1)
data = numpy.load(fixtures + "/digits.npz")
images = torch.from_numpy(data["train_images"][:32]).float()
labels = torch.from_numpy(data["train_labels"][:32]).long()
load = lambda: torch.jit.load(fixtures + "/digits_resnet.pt").train()
total, before = load(), load()
for p in total.parameters():
    p.grad = torch.zeros_like(p)
    p.requires_grad_(False)
for x, y in zip(images.tensor_split(3), labels.tensor_split(3)):
    model = load()
    loss = torch.nn.functional.cross_entropy(model(x), y)
    grads = torch.autograd.grad(loss, list(model.parameters()))
    share = len(x) / 32
    for p, g in zip(total.parameters(), grads):
        p.grad += share * g
    for b, old, new in zip(total.buffers(), before.buffers(), model.buffers()):
        if b.is_floating_point():
            b += share * (new - old)
        else:
            b.copy_(new)
for p in total.parameters():
    p -= 0.1 * p.grad
ours = torch.jit.load(saved).state_dict()
theirs, first = total.state_dict(), before.state_dict()
assert ours.keys() == theirs.keys()
gap = lambda a, b: max(float((a[k].double() - b[k].double()).abs().max()) for k in a)
print(json.dumps([gap(ours, theirs), gap(theirs, first)]))
`;

const JOBS = {
  "a network with batch norms": { model: "digits_resnet.pt", dataShards: 4 },
  "a transformer with dropout, in three shards": { model: "digits_vit.pt", dataShards: 3 },
  "SGD, a clipped norm, batches that don't divide": {
    model: "digits_cnn.pt",
    dataShards: 5,
    batchSize: 7,
    options: { optimizer: "sgd", clipNorm: 1 },
  },
  "a teacher": { model: "digits_cnn.pt", dataShards: 4, teacher: "digits_resnet.pt", scored: true },
  "a function that picks inputs": { model: "digits_cnn.pt", dataShards: 4, picks: true },
  "scores before and after recalibration": {
    model: "digits_resnet.pt",
    dataShards: 2,
    scored: true,
    options: { recalibrate: true, learningRate: 0.05 },
  },
  "batches of fewer samples than shards can share": {
    model: "digits_resnet.pt",
    dataShards: 4,
    batchSize: 5,
  },
  "a supernet": { model: "digits_cnn.pt", dataShards: 4, supernet: true },
} as const;

describe("training by shards", { timeout: 240_000 }, () => {
  it("gives the same bits for one, two, three and four processes", async () => {
    const jobs = () => Object.values(JOBS);
    const [alone] = (await results(1, jobs)) as [Trained[]];
    for (const [i, name] of Object.keys(JOBS).entries()) {
      expect(alone[i]?.error, name).toBeUndefined();
      expect(alone[i]?.weights, name).toMatch(/^[0-9a-f]{16,}/);
    }
    for (const worldSize of [2, 3, 4])
      for (const [rank, found] of (await results(worldSize, jobs)).entries())
        for (const [i, name] of Object.keys(JOBS).entries())
          expect(found[i], `${name} on rank ${rank} of ${worldSize}`).toEqual(alone[i]);
  });

  it("depends on the number of shards, and is what it was without them", async () => {
    const job = { model: "digits_resnet.pt" };
    const [found] = (await results(1, () => [
      job,
      { ...job, dataShards: 1 },
      { ...job, dataShards: 2 },
      { ...job, dataShards: 4 },
    ])) as [Trained[]];
    const weights = found.map((each) => each.weights);
    expect(weights[1]).toBe(weights[0]);
    expect(new Set(weights).size).toBe(3);
  });

  it("takes as many shards as there are processes where none are named", async () => {
    const named = await results(1, () => [{ model: "digits_cnn.pt", dataShards: 2 }]);
    const found = await results(2, () => [{ model: "digits_cnn.pt" }]);
    expect(found[0]).toEqual(named[0]);
  });

  it("takes the step that PyTorch takes", async () => {
    const saved = path.join(folder, "step.pt");
    const options = {
      steps: 1,
      shuffle: false,
      optimizer: "sgd",
      learningRate: 0.1,
      weightDecay: 0,
      schedule: "constant",
    };
    const [[found]] = (await results(1, () => [
      { model: "digits_resnet.pt", dataShards: 3, options, saved },
    ])) as [[Trained]];
    expect(found.error).toBeUndefined();
    // The largest difference of a weight or buffer, and the largest change of one.
    const [difference, change] = JSON.parse(
      execFileSync(python, ["-c", ONE_STEP, path.join(root, "test", "fixtures"), saved], {
        encoding: "utf8",
      }),
    ) as [number, number];
    expect(difference).toBeLessThan(2e-6);
    expect(change).toBeGreaterThan(1e-2);
  });

  it("names what differs between ranks", async () => {
    const job = { model: "digits_cnn.pt", dataShards: 2 };
    const small = { ...job, batchSize: 31 };
    for (const [other, said, first = job] of [
      [{ ...job, options: { seed: 3 } }, /ERR_GROUP_MISMATCH .*another seed/],
      [{ ...job, dataShards: 3 }, /ERR_GROUP_MISMATCH .*another dataShards/],
      [{ ...job, model: "digits_resnet.pt" }, /ERR_GROUP_MISMATCH .*another model/],
      [{ ...job, samples: "test" }, /ERR_GROUP_MISMATCH .*another batches/],
      [{ ...job, scored: true }, /ERR_GROUP_MISMATCH .*another scored/],
      // As many batches, of other samples.
      [
        { ...small, batchSize: 12, samples: "test" },
        /ERR_GROUP_MISMATCH .*another batch than rank 0 at step 1/,
        small,
      ],
    ] as const) {
      for (const [found] of (await results(2, (rank) => [rank === 0 ? first : other])) as [Trained][])
        expect(found.error).toMatch(said);
    }
  });

  it("refuses a loss of whole batches, and batches that can't be cut", async () => {
    const job = { model: "digits_cnn.pt", dataShards: 2 };
    const [[own, uneven]] = (await results(1, () => [
      { ...job, ownLoss: true },
      { ...job, picks: "uneven" },
    ])) as [[Trained, Trained]];
    expect(own.error).toMatch(/^ERR_CONFIG_VALUE .*dataShards/);
    expect(uneven.error).toMatch(/^ERR_BATCH .*cut into shards/);
  });
});
