/** Subnets with hyperparameters of the user's own: what they compute and export, against PyTorch. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { beforeEach, describe, expect, it } from "vitest";

import { convert, Module, Random, type SubnetConfig, Tensor, TensorDataLoader } from "../../lib";
import { python } from "../data/python";
import {
  addAll,
  at,
  dummyInput,
  EDITS,
  expected,
  farthest,
  folder,
  images,
  outputsOf,
  prepareCustomModels,
  replaceSpace,
  space,
  spaceOf,
} from "../support/custom-models";
import { root } from "../support/zoo";

prepareCustomModels();

/** Has PyTorch open, run and train saved subnets, and compare each with `outputs`. */
function verify(subnets: readonly { model: string; outputs: number[] }[]): Record<string, unknown>[] {
  const script = `
import json, sys, numpy as np, torch
sys.path.insert(0, sys.argv[1])
from verify_subnet import verify
torch.set_num_threads(1)
folder = sys.argv[2]
images = np.load(folder + "/images.npz")["images"][:16]
answers = []
for subnet in json.loads(sys.stdin.read()):
    io = subnet["model"] + ".npz"
    np.savez(io, input0=images, output0=np.array(subnet["outputs"], dtype=np.float32).reshape(16, -1))
    request = {"model": subnet["model"], "inputs": io, "expected": io, "original": folder + "/model.pt", "trainStep": True}
    answers.append(verify(request))
print(json.dumps(answers))`;
  const args = ["-W", "ignore", "-c", script, path.join(root, "scripts/python"), folder];
  return JSON.parse(execFileSync(python, args, { input: JSON.stringify(subnets), encoding: "utf8" }));
}

describe.each(["model.pt", "model.traced.pt"])("of %s", (file) => {
  beforeEach(async () => {
    await replaceSpace(spaceOf(file));
    await addAll(space);
  });

  it("are hyperparameters like the others", () => {
    const own = space.hyperparameters.slice(-6);
    expect(own.map(({ name, kind, choices, full, active }) => [name, kind, choices, full, active])).toEqual([
      ["slope", "custom", [0.3, 0.1, 0.01], 0.01, 0.01],
      ["scale", "custom", [1, 4, 0.25], 0.25, 0.25],
      ["epsilon", "custom", [0.5, 1e-5], 1e-5, 1e-5],
      ["bound", "custom", [1, 2], 2, 2],
      ["binary", "custom", [0, 1], 1, 1],
      ["head", "custom", [0, 1], 1, 1],
    ]);
    const begins = own.map((each) => each.begins);
    expect(begins[0]).toBeLessThan(begins[4] as number);
    expect(begins[4]).toBeLessThan(begins[2] as number);
    expect(begins[1]).toBeLessThan(begins[5] as number);
    expect(space.fullConfig).toMatchObject({ slope: 0.01, binary: 1 });
    expect(space.smallestConfig).toMatchObject({ slope: 0.3, binary: 0 });
    space.select({ slope: 0.1 });
    expect(space.active).toMatchObject({ slope: 0.1, scale: 0.25, head: 1 });
    expect(own[0]?.active).toBe(0.1);
    expect(space.sample(new Random(1))).toHaveProperty("bound");
  });

  it("compute what PyTorch computes with the module edited", async () => {
    for (const [name, config] of Object.entries(EDITS)) {
      space.select({ ...space.fullConfig, ...config });
      expect(farthest(await outputsOf(space), expected[name] as number[]), name).toBeLessThan(1e-4);
    }
    // Another batch size, and back.
    const one = Tensor.from((images[0] as Tensor).data().slice(0, 64), [1, 1, 8, 8]);
    expect(farthest(await outputsOf(space, one), (expected.all as number[]).slice(0, 10))).toBeLessThan(1e-4);
    space.select(space.fullConfig);
    expect(farthest(await outputsOf(space), expected.none as number[])).toBeLessThan(1e-4);
  });

  it("are narrowed with the widths, in the order that the conversion gave the channels", async () => {
    const edited = await convert(await Module.load(at("edited.pt")), "fastnas", dummyInput(), {
      channelDivisor: 2,
      importance: "none",
    });
    const unordered = await spaceOf(file, { importance: "none" });
    await addAll(unordered);
    const random = new Random(2);
    for (let i = 0; i < 4; i++) {
      const widths = edited.sample(random);
      edited.select(widths);
      unordered.select({ ...EDITS.all, ...widths });
      expect(farthest(await outputsOf(unordered), await outputsOf(edited))).toBeLessThan(1e-4);
      expect(unordered.costs(unordered.active)).toEqual(edited.costs(widths));
    }
    edited.close();
    unordered.close();
  });

  it("are in what is exported, which PyTorch runs and trains", { timeout: 60_000 }, async () => {
    const narrow = Object.fromEntries(
      space.hyperparameters
        .filter(({ kind }) => kind !== "custom")
        .map(({ name, choices }) => [name, choices[1]]),
    ) as SubnetConfig;
    const saved: { model: string; outputs: number[] }[] = [];
    for (const config of [EDITS.all, { ...EDITS.all, ...narrow }, { ...narrow, slope: 0.1, head: 0 }]) {
      space.select({ ...space.fullConfig, ...config });
      const subnet = await space.export();
      const outputs = config === EDITS.all ? (expected.all as number[]) : await outputsOf(space);
      expect(farthest(await outputsOf(subnet), outputs)).toBeLessThan(1e-4);
      const slope = { constant: ["act.leaky_relu.negative_slope"] };
      const custom = { slope, head: { tensor: "head.weight" } };
      expect(subnet.history[0]?.result).toMatchObject({ config: space.active, custom });
      const model = at(`subnet-${saved.length}.pt`);
      await subnet.save(model);
      saved.push({ model, outputs });
    }
    for (const answer of verify(saved)) expect(answer).toMatchObject({ ok: true, error: null });
  });

  it("are what native passes run, prepared and from kept activations", async () => {
    const images = await TensorDataLoader.fromNpz(at("images.npz"), { keys: ["images"], batchSize: 16 });
    const random = new Random(5);
    const configs = Array.from({ length: 6 }, () => space.sample(random));
    space.reuseActivations(2 ** 26);
    space.expect(configs);
    for (const config of configs) {
      space.select(config);
      const subnet = await space.export();
      for (const batch of images) {
        const [input] = Object.values(batch as Record<string, Tensor>) as [Tensor];
        expect(farthest(await outputsOf(space, input), await outputsOf(subnet, input))).toBeLessThan(1e-4);
      }
    }
  });

  it("don't matter to latencies", async () => {
    space.useLatencyTable(await space.measureLatency({ points: 2, warmup: 0, repeats: 1 }));
    expect(space.cost(EDITS.all as SubnetConfig, "latency")).toBe(space.cost({}, "latency"));
    expect((await space.latencyError({ samples: 1, warmup: 0, repeats: 1 })).samples.length).toBe(3);
  });

  it("have statistics of their own once recalibrated, which selecting drops", async () => {
    space.select({ ...space.fullConfig, slope: 0.3 });
    await space.recalibrate(images);
    const recalibrated = await outputsOf(space);
    expect(farthest(recalibrated, expected["slope recalibrated"] as number[])).toBeLessThan(1e-4);
    expect(farthest(await outputsOf(await space.export()), recalibrated)).toBeLessThan(1e-4);
    space.select({ slope: 0.3 });
    expect(farthest(await outputsOf(space), expected.slope as number[])).toBeLessThan(1e-4);
  });
});

it("constants that are to stay equal are one hyperparameter", async () => {
  const resnet = await Module.load(path.join(root, "test/fixtures/digits_resnet.pt"));
  await replaceSpace(convert(resnet, "fastnas", dummyInput()));
  const constant = space
    .constants()
    .filter(({ argument }) => argument === "eps")
    .map(({ name }) => name);
  expect(constant.length).toBeGreaterThan(5);
  const added = await space.addHyperparameter("epsilon", { constant, values: [1e-3], active: 1e-3 });
  expect(added.active).toBe(1e-3);
  const [input] = images as [Tensor];
  const outputs = await outputsOf(space, input);
  const subnet = await space.export();
  expect(farthest(await outputsOf(subnet, input), outputs)).toBeLessThan(1e-4);
  // Some in blocks that are left out.
  const random = new Random(4);
  for (let i = 0; i < 4; i++) {
    const config = space.sample(random);
    for (const { name, kind } of space.hyperparameters) if (kind === "depth") config[name] = i % 2;
    space.select({ ...config, epsilon: 1e-3 });
    const narrow = await space.export();
    expect(farthest(await outputsOf(narrow, input), await outputsOf(space, input))).toBeLessThan(1e-4);
  }
  const again = await convert(subnet, "fastnas", dummyInput());
  expect(
    again
      .constants()
      .filter(({ argument }) => argument === "eps")
      .every(({ value }) => value === 1e-3),
  ).toBe(true);
  again.close();
});
