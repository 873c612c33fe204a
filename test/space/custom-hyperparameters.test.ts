/** Hyperparameters of the user's own; what is expected comes from PyTorch, by scripts/fixtures/custom_hyperparameters.py. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type ConvertConfig,
  convert,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  Module,
  ParetoSearcher,
  Random,
  RandomSearcher,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
  TensorDataLoader,
  trainSupernet,
} from "../../lib";
import { readReportData, renderReport } from "../../lib/entries/report";
import { subnetsOf } from "../../lib/entries/search";
import type { CustomHyperparameter } from "../../lib/entries/space";
import { python } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

let folder: string;
let expected: Record<string, number[]>;
let tensors: Record<"binary" | "head" | "bias", Tensor>;
let images: Tensor[];
let module: Module;
let space: SearchSpace;

const at = (name: string) => path.join(folder, name);
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

async function spaceOf(file = "model.pt", config: ConvertConfig = {}): Promise<SearchSpace> {
  module = await Module.load(at(file));
  return convert(module, "fastnas", dummyInput(), { channelDivisor: 2, ...config });
}

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-custom-"));
  execFileSync(python, [
    "-W",
    "ignore",
    path.join(root, "scripts/fixtures/custom_hyperparameters.py"),
    folder,
  ]);
  expected = JSON.parse(readFileSync(at("expected.json"), "utf8"));
  const loader = await TensorDataLoader.fromNpz(at("images.npz"), { keys: ["images"], batchSize: 16 });
  images = [...loader].map((batch) => (batch as Record<string, Tensor>).images as Tensor);
  const named = Object.keys({ binary: 0, head: 0, bias: 0 });
  const entries = await Promise.all(
    named.map(async (key) => {
      const one = await TensorDataLoader.fromNpz(at("tensors.npz"), { keys: [key], batchSize: 64 });
      return [key, ([...one][0] as Record<string, Tensor>)[key]] as const;
    }),
  );
  tensors = Object.fromEntries(entries) as typeof tensors;
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  space = await spaceOf();
});
afterEach(() => space.close());

async function addAll(to: SearchSpace): Promise<void> {
  await to.addHyperparameter("slope", { constant: "act.leaky_relu.negative_slope", values: [0.3, 0.1] });
  await to.addHyperparameter("scale", { constant: "attn.mul.other", values: [1, 4] });
  await to.addHyperparameter("epsilon", { constant: "norm.batch_norm.eps", values: [0.5] });
  await to.addHyperparameter("bound", { constant: "clip.hardtanh.max_val", values: [1] });
  await to.addHyperparameter("binary", { tensor: "conv2.weight", values: [tensors.binary] });
  await to.addHyperparameter("head", { tensor: "head.weight", values: [tensors.head] });
}

/** What each edit of the script is here. */
const EDITS: Record<string, SubnetConfig> = {
  none: {},
  slope: { slope: 0.3 },
  scale: { scale: 1 },
  epsilon: { epsilon: 0.5 },
  bound: { bound: 1 },
  binary: { binary: 0 },
  head: { head: 0 },
  all: { slope: 0.3, scale: 1, epsilon: 0.5, bound: 1, binary: 0, head: 0 },
};

async function outputsOf(model: SearchSpace | Module, input = images[0] as Tensor): Promise<number[]> {
  return numbersOf((await model.forward(input)) as Tensor).map(Number);
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));
}

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

describe("constants()", () => {
  it("names the numbers of a scripted graph by module, operator and argument", () => {
    const listed = space.constants().map(({ name, operator, argument, type, value }) => ({
      name,
      operator,
      argument,
      type,
      value,
    }));
    expect(listed).toEqual([
      {
        name: "act.leaky_relu.negative_slope",
        operator: "aten::leaky_relu_",
        argument: "negative_slope",
        type: "float",
        value: 0.01,
      },
      {
        name: "norm.batch_norm.eps",
        operator: "aten::batch_norm",
        argument: "eps",
        type: "float",
        value: 1e-5,
      },
      {
        name: "clip.hardtanh.min_val",
        operator: "aten::hardtanh",
        argument: "min_val",
        type: "float",
        value: -2,
      },
      {
        name: "clip.hardtanh.max_val",
        operator: "aten::hardtanh",
        argument: "max_val",
        type: "float",
        value: 2,
      },
      { name: "attn.mul.other", operator: "aten::mul", argument: "other", type: "float", value: 0.25 },
      { name: "drop.dropout.p", operator: "aten::dropout", argument: "p", type: "float", value: 0.1 },
    ]);
  });

  it("names those of a trace alike, and the same each time", async () => {
    const traced = await spaceOf("model.traced.pt");
    const names = (of: SearchSpace) => of.constants().map(({ name }) => name);
    expect(names(traced)).toEqual(names(space));
    traced.close();
  });

  it("tells the scale of fused attention, which graphs leave out", async () => {
    const vit = await Module.load(path.join(root, "test/fixtures/digits_vit.pt"));
    const heads = await convert(vit, "fastnas", dummyInput());
    const scales = heads.constants().filter(({ argument }) => argument === "scale");
    expect(scales.map(({ name, value }) => [name, value])).toEqual(
      [0, 1, 2, 3].map((block) => [`blocks.${block}.attn.scaled_dot_product_attention.scale`, 0.25]),
    );
    const before = await outputsOf(heads);
    const constant = scales.map(({ name }) => name);
    await heads.addHyperparameter("temperature", { constant, values: [0.5], active: 0.5 });
    const hot = await outputsOf(heads);
    expect(farthest(hot, before)).toBeGreaterThan(0.01);
    expect(farthest(await outputsOf(await heads.export()), hot)).toBeLessThan(1e-4);
    heads.close();
  });
});

describe.each(["model.pt", "model.traced.pt"])("of %s", (file) => {
  beforeEach(async () => {
    space.close();
    space = await spaceOf(file);
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
  space.close();
  space = await convert(
    await Module.load(path.join(root, "test/fixtures/digits_resnet.pt")),
    "fastnas",
    dummyInput(),
  );
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

describe("searches", { timeout: 180_000 }, () => {
  /** Falls with the distance from the outputs that the edited model gives. */
  const scoreFunc = async (model: unknown): Promise<number> => {
    const outputs = await outputsOf(model as SearchSpace);
    const wanted = expected.all as number[];
    return -Math.sqrt(outputs.reduce((sum, value, i) => sum + (value - (wanted[i] as number)) ** 2, 0));
  };
  const best = (of: SubnetConfig | undefined) =>
    Object.fromEntries(Object.keys(EDITS.all as SubnetConfig).map((name) => [name, of?.[name]]));
  beforeEach(() => addAll(space));

  it.each([
    ["BinarySearcher", BinarySearcher, { maxChoices: 1 }],
    ["MilpSearcher", MilpSearcher, { maxChoices: 1 }],
  ] as const)(
    "%s finds the values that are best alone, whatever else is narrowed",
    async (_, Searcher, config) => {
      // Alone, before the search, in the order of the choices.
      const alone: SubnetConfig = {};
      for (const { name, kind, choices } of space.hyperparameters) {
        if (kind !== "custom") continue;
        const scores: number[] = [];
        for (const value of choices) {
          space.select({ ...space.fullConfig, [name]: value });
          scores.push(await scoreFunc(space));
        }
        alone[name] = choices[scores.indexOf(Math.max(...scores))] as number;
      }
      const searcher = new Searcher() as BinarySearcher;
      const options = { ...config, scoreFunc, verbose: false };
      const unbound = await searcher.search(space, {}, null, options);
      expect(unbound.stateDict.history.map((each) => best(each.config))).toContainEqual(alone);
      const { subnet, stateDict } = await searcher.search(
        space,
        { flops: "70%", params: "80%" },
        null,
        options,
      );
      expect(stateDict.history.map((each) => best(each.config))).toContainEqual(alone);
      expect(stateDict.best?.costs.flops).toBeLessThanOrEqual(0.7 * (stateDict.fullCosts?.flops as number));
      const { slope } = stateDict.sensitivity;
      expect(slope?.scores).not.toContain(null);
      expect(Math.min(...(slope?.degradation as number[]))).toBe(0);
      expect(await scoreFunc(subnet)).toBeCloseTo(stateDict.best?.score as number, 3);
    },
  );

  it.each([
    ["RandomSearcher", RandomSearcher, { numIters: 60 }],
    ["EvolveSearcher", EvolveSearcher, { numIters: 150, populationSize: 20, candidateSize: 5 }],
    ["ParetoSearcher", ParetoSearcher, { numIters: 80, populationSize: 20 }],
  ] as const)(
    "%s proposes them, meets the constraints and keeps them in its checkpoint",
    async (name, Searcher, config) => {
      const checkpoint = at(`${name}.safetensors`);
      const searcher = new Searcher() as RandomSearcher;
      const options = { ...config, scoreFunc, verbose: false, checkpoint, seed: 3 };
      const { subnet, stateDict } = await searcher.search(space, { flops: "90%" }, null, options);
      const found = stateDict.best;
      expect(found?.costs.flops).toBeLessThanOrEqual(0.9 * (stateDict.fullCosts?.flops as number));
      expect(await scoreFunc(subnet)).toBeCloseTo(found?.score as number, 3);
      const measured = subnetsOf(stateDict.candidates);
      expect(new Set(measured.map((each) => each.config.slope))).toEqual(new Set([0.3, 0.1, 0.01]));
      // Resumed, nothing is measured again.
      let scored = 0;
      const again = await spaceOf();
      await addAll(again);
      const resumed = await searcher.search(again, { flops: "90%" }, null, {
        ...options,
        scoreFunc: () => {
          scored += 1;
          return 0;
        },
      });
      expect(scored).toBe(0);
      expect(resumed.stateDict.best).toEqual(found);
      again.close();
      // A report draws widths; these are none.
      expect(await renderReport(await readReportData(checkpoint))).toContain("conv1");
    },
  );

  it("EvolveSearcher improves on the model by them", async () => {
    space.select(space.fullConfig);
    const before = await scoreFunc(space);
    const { stateDict } = await new EvolveSearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      numIters: 400,
      populationSize: 40,
      candidateSize: 10,
    });
    expect(stateDict.best?.score).toBeGreaterThan(before / 2);
  });

  it("GradientSearcher leaves them as they are", async () => {
    const labels = BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i % 10));
    const dataLoader = images.map((batch) => [batch, Tensor.from(labels)]);
    const { stateDict } = await new GradientSearcher().search(space, { flops: "70%" }, null, {
      scoreFunc,
      dataLoader,
      verbose: false,
    });
    expect(stateDict.best?.config).toMatchObject(best(space.fullConfig));
    expect(stateDict.channelScores?.slope).toEqual([]);
  });

  it.each([
    ["BinarySearcher", BinarySearcher, { maxChoices: 1 }],
    ["MilpSearcher", MilpSearcher, { maxChoices: 1 }],
    ["EvolveSearcher", EvolveSearcher, { numIters: 40, populationSize: 10, candidateSize: 4 }],
  ] as const)("%s meets a cost of the user's own that counts them", async (_, Searcher, config) => {
    const bits = ({ binary, head }: Readonly<SubnetConfig>) =>
      (binary === 0 ? 1 : 32) + (head === 0 ? 10 : 32);
    space.addMetric("bits", bits);
    const searcher = new Searcher() as BinarySearcher;
    const { stateDict } = await searcher.search(space, { bits: 20 }, null, {
      ...config,
      scoreFunc,
      verbose: false,
    });
    expect(stateDict.best?.config).toMatchObject({ binary: 0, head: 0 });
    expect(stateDict.best?.costs).toMatchObject({ bits: 11 });
  });

  it("kept activations change no score", async () => {
    const kept = await new BinarySearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      dataLoader: images,
    });
    const plain = await new BinarySearcher().search(space, {}, null, {
      scoreFunc,
      verbose: false,
      dataLoader: images,
      activationCache: false,
    });
    expect(kept.stateDict.sensitivity).toEqual(plain.stateDict.sensitivity);
    expect(space.reuse.hits).toBeGreaterThan(0);
  });

  it("a checkpoint of other hyperparameters or values is refused", async () => {
    const checkpoint = at("values.safetensors");
    const search = (of: SearchSpace) =>
      new RandomSearcher().search(of, {}, null, {
        scoreFunc: () => 1,
        verbose: false,
        checkpoint,
        numIters: 3,
      });
    await search(space);
    const again = async (add: (to: SearchSpace) => Promise<unknown>) => {
      const other = await spaceOf();
      await add(other);
      return other;
    };
    const scale: CustomHyperparameter = { constant: "attn.mul.other", values: [1, 4] };
    const others = await Promise.all([
      again(async () => {}),
      again((to) => to.addHyperparameter("scale", scale)),
      again((to) => to.addHyperparameter("scale", { ...scale, values: [1, 5] })),
      again((to) => to.addHyperparameter("head", { tensor: "head.weight", values: [tensors.head] })),
      again((to) =>
        to.addHyperparameter("head", {
          tensor: "head.weight",
          values: [Tensor.from(new Float32Array(120), [10, 12])],
        }),
      ),
    ]);
    const prints = new Set(await Promise.all([space, ...others].map((each) => each.fingerprint())));
    expect(prints.size).toBe(6);
    for (const other of others) await expectCode("ERR_CHECKPOINT_MODEL", () => search(other));
    const same = await again(addAll);
    expect(await same.fingerprint()).toBe(await space.fingerprint());
    await search(same);
    for (const each of [...others, same]) each.close();
  });

  it("add none meanwhile, and are not trained", async () => {
    const add = () => space.addHyperparameter("p", { constant: "drop.dropout.p", values: [0.3] });
    let refused: unknown;
    await new RandomSearcher().search(space, {}, null, {
      numIters: 1,
      verbose: false,
      scoreFunc: async () => {
        refused = await expectCode("ERR_BUSY", add);
        return 1;
      },
    });
    expect(refused).toBeDefined();
    expect((await add()).choices).toEqual([0.3, 0.1]);
    const train = await expectCode("ERR_HYPERPARAMETER", () => trainSupernet(space, [], { epochs: 1 }));
    expect(train.message).toContain("slope");
  });
});

describe("bad input", () => {
  const add = (definition: unknown, name: unknown = "mine") =>
    space.addHyperparameter(name as string, definition as CustomHyperparameter);
  const slope = "act.leaky_relu.negative_slope";

  it.each<[string, string, unknown, unknown?]>([
    ["no name", "ERR_ARGUMENT", { constant: slope, values: [1] }, ""],
    ["a name that is no string", "ERR_ARGUMENT", { constant: slope, values: [1] }, 3],
    ["a name that is taken", "ERR_HYPERPARAMETER", { constant: slope, values: [1] }, "conv1"],
    ["nothing", "ERR_ARGUMENT", undefined],
    ["no target", "ERR_ARGUMENT", { values: [1] }],
    ["two targets", "ERR_ARGUMENT", { constant: slope, tensor: "conv1.bias", values: [1] }],
    ["an unknown key", "ERR_ARGUMENT", { constant: slope, values: [1], chanelOrder: "original" }],
    ["no values", "ERR_ARGUMENT", { constant: slope }],
    ["values that are no array", "ERR_ARGUMENT", { constant: slope, values: 1 }],
    ["no value", "ERR_HYPERPARAMETER", { constant: slope, values: [] }],
    ["the model's value alone", "ERR_HYPERPARAMETER", { constant: slope, values: [0.01] }],
    ["NaN", "ERR_ARGUMENT", { constant: slope, values: [Number.NaN] }],
    ["an infinite value", "ERR_ARGUMENT", { constant: slope, values: [Infinity] }],
    ["a text", "ERR_ARGUMENT", { constant: slope, values: ["0.1"] }],
    ["an unknown constant", "ERR_UNKNOWN_CONSTANT", { constant: "act.leaky_relu.slope", values: [1] }],
    ["no constant", "ERR_HYPERPARAMETER", { constant: [], values: [1] }],
    ["constants that differ", "ERR_HYPERPARAMETER", { constant: [slope, "drop.dropout.p"], values: [1] }],
    ["a value that the operator refuses", "ERR_HYPERPARAMETER", { constant: "drop.dropout.p", values: [2] }],
    ["an active value that is no choice", "ERR_CHOICE", { constant: slope, values: [0.1], active: 0.2 }],
    ["a tensor's path that is no string", "ERR_ARGUMENT", { tensor: 3, values: [] }],
    ["numbers for a tensor", "ERR_ARGUMENT", { tensor: "conv1.bias", values: [1, 2] }],
    ["no tensor", "ERR_HYPERPARAMETER", { tensor: "conv1.bias", values: [] }],
    [
      "an unknown channel order",
      "ERR_ARGUMENT",
      { tensor: "conv1.bias", values: [], channelOrder: "sorted" },
    ],
  ])("%s is refused with %s", async (_, code, definition, name = "mine") => {
    const before = await space.fingerprint();
    await expectCode(code, () => add(definition, name));
    expect(space.hyperparameters.some(({ kind }) => kind === "custom")).toBe(false);
    expect(await space.fingerprint()).toBe(before);
    expect(farthest(await outputsOf(space), expected.none as number[])).toBeLessThan(1e-4);
  });

  it("unknown targets are told with the nearest one", async () => {
    const constant = await expectCode("ERR_UNKNOWN_CONSTANT", () =>
      add({ constant: "act.leaky_relu.slope", values: [1] }),
    );
    expect(constant.message).toContain(`"${slope}"`);
    const tensor = await expectCode("ERR_UNKNOWN_TENSOR", () => add({ tensor: "conv1.wieght", values: [] }));
    expect(tensor.message).toContain('"conv1.weight"');
  });

  it("tensors that don't fit are refused", async () => {
    const bias = (values: Tensor) => add({ tensor: "conv1.bias", values: [values] });
    const shape = await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float32Array(7))));
    expect(shape.message).toContain("[8]");
    await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float64Array(8))));
    await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float32Array(8).fill(Number.NaN))));
    const closed = Tensor.from(new Float32Array(8));
    closed.close();
    await expectCode("ERR_CLOSED", () => bias(closed));
    expect(space.hyperparameters.some(({ kind }) => kind === "custom")).toBe(false);
  });

  it("names and targets are taken once", async () => {
    await add({ constant: slope, values: [0.1] });
    await expectCode("ERR_HYPERPARAMETER", () => add({ constant: "norm.batch_norm.eps", values: [0.1] }));
    await expectCode("ERR_HYPERPARAMETER", () => add({ constant: slope, values: [0.2] }, "other"));
    await add({ tensor: "conv1.bias", values: [tensors.bias] }, "bias");
    await expectCode("ERR_HYPERPARAMETER", () =>
      add({ tensor: "conv1.bias", values: [tensors.bias] }, "other"),
    );
  });

  it("values that are no choice are refused, and change nothing", async () => {
    await add({ constant: slope, values: [0.1] });
    space.select({ mine: 0.1 });
    const refused = await expectCode("ERR_CHOICE", () => space.select({ mine: 0 }));
    expect(refused.message).toContain("0.1, 0.01");
    await expectCode("ERR_CHOICE", () => space.cost({ mine: "0.1" as never }, "flops"));
    expect(space.active.mine).toBe(0.1);
  });

  it("a closed space, and an aborted signal, are told", async () => {
    const signal = AbortSignal.abort();
    await expectCode("ERR_ABORTED", () =>
      space.addHyperparameter("mine", { constant: slope, values: [1] }, { signal }),
    );
    space.close();
    await expectCode("ERR_CLOSED", () => space.constants());
    await expectCode("ERR_CLOSED", () => add({ constant: slope, values: [1] }));
  });
});
