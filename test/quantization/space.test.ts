/** Candidates of a quantization space, their costs, and what they export. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module, type QuantizationSpace, Random, Tensor, topKAccuracy } from "../../lib";
import {
  measureGradients,
  measureOutputs,
  type SensitivityData,
} from "../../lib/search/format/format-sensitivity";
import { runPython } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { oracle } from "./oracle";
import { data, digitsSpace, dummyInput, testData, trainData } from "./spaces";

let folder: string;
let space: QuantizationSpace;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-quantization-"));
  space = await digitsSpace("digits_resnet", { groupSharedInputs: false });
  await space.calibrate(await trainData(oracle.model.batchSize), {
    maxBatches: oracle.model.calibrationBatches,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

const images = async (count: number): Promise<Tensor> =>
  Tensor.from(await firstImages(count), [count, 1, 8, 8]);

describe("PyTorch gives the same", () => {
  it("layers", () => {
    expect(space.layers.map(({ name }) => name).sort()).toEqual([...oracle.model.layers].sort());
  });

  it.each(["int8", "int4"] as const)("outputs of a ResNet all in %s", async (format) => {
    const batch = Tensor.from(await firstImages(6), [6, 1, 8, 8]);
    space.select(space.uniform(format));
    const logits = numbersOf((await space.forward(batch)) as Tensor) as number[];
    for (const [at, value] of oracle.model.logits[format].entries()) {
      expect(Math.abs((logits[at] as number) - value)).toBeLessThan(1e-4);
    }
  });

  it("sensitivities, by gradient and by divergence", async () => {
    const train = await firstTrainImages(64);
    const mixed = train.slice(0, 32 * 64).map((value, at) => 0.5 * (value + (train[32 * 64 + at] as number)));
    const batch = [Tensor.from(mixed, [32, 1, 8, 8]), Tensor.from(await firstTrainLabels(32), [32])];
    const options: SensitivityData = { data: [batch], collectFunc: null, targetFunc: null, maxBatches: null };
    const gradients = await measureGradients(space, "crossEntropy", options);
    for (const [at, { name }] of space.hyperparameters.entries()) {
      const { int8, int4 } = oracle.model.gradients[name] as { int8: number; int4: number };
      expect((gradients[at]?.[0] as number) / int8).toBeCloseTo(1, 3);
      expect((gradients[at]?.[1] as number) / int4).toBeCloseTo(1, 3);
      const [kl8, kl4] = await measureOutputs(space, at, "klDivergence", options);
      const expected = oracle.model.divergences[name] as { int8: number; int4: number };
      // Divergences near float32's rounding of the logits are noise.
      expect(Math.abs((kl8 as number) - expected.int8)).toBeLessThan(1e-6 + 0.01 * expected.int8);
      expect(Math.abs((kl4 as number) - expected.int4)).toBeLessThan(1e-6 + 0.01 * expected.int4);
    }
  });
});

describe("exported", () => {
  const CHECK = `
import json, sys
import numpy as np, torch
path, data = sys.argv[1], np.load(sys.argv[2])
x, y = torch.from_numpy(data["test_images"][:64]), torch.from_numpy(data["test_labels"][:64])
m = torch.jit.load(path)
with torch.no_grad():
    logits = m(x)
# The bits of each weight, from the graph alone: the parameter that a rounding operator reads, and its bounds.
parameters = dict(m.named_parameters())
def attribute(value):
    node = value.node()
    if node.kind() != "prim::GetAttr":
        return None
    owner = attribute(list(node.inputs())[0])
    return (owner + "." if owner else "") + node.s("name")
graph = m.graph
bits = {}
for node in graph.findAllNodes("aten::fake_quantize_per_channel_affine"):
    inputs = list(node.inputs())
    source = inputs[0]
    while source.node().kind() in ("aten::movedim", "aten::reshape"):
        source = list(source.node().inputs())[0]
    bits[attribute(source)] = int(np.log2(inputs[5].toIValue() - inputs[4].toIValue() + 1))
for node in graph.findAllNodes("aten::conv2d") + graph.findAllNodes("aten::linear"):
    source = list(node.inputs())[1]
    if attribute(source) in parameters:
        bits[attribute(source)] = 32
total = sum(parameters[n].numel() for n in bits)
effective = sum(parameters[n].numel() * b for n, b in bits.items()) / total
m.train()
# Statistics and dropout stay out of it: the loss must say what the steps did, not which units were drawn.
for module in m.modules():
    if "BatchNorm" in module.original_name or "Dropout" in module.original_name:
        module.eval()
optimizer = torch.optim.SGD(m.parameters(), lr=1e-3)
losses = []
for _ in range(6):
    loss = torch.nn.functional.cross_entropy(m(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
missing = [n for n, p in m.named_parameters() if p.grad is None]
print(json.dumps({"logits": logits.flatten().tolist(), "bits": effective, "losses": losses, "missing": missing}))
`;

  it.each([
    ["digits_resnet", ["int8", "int4"]],
    ["digits_vit", ["int8", "int4_weight_only"]],
    ["digits_cnn", ["int4", "fp8"]],
  ] as const)(
    "%s in %j: same numbers in Python, bits counted there, trainable",
    { timeout: 120_000 },
    async (model, formats) => {
      const mixed = await digitsSpace(model, { formats });
      await mixed.calibrate(await trainData(), { maxBatches: 2 });
      const rng = new Random(3);
      mixed.select(mixed.sample(rng));
      const images64 = await firstImages(64);
      const expected = numbersOf(
        (await mixed.forward(Tensor.from(images64, [64, 1, 8, 8]))) as Tensor,
      ) as number[];
      const exported = await mixed.export();
      expect(exported.training).toBe(false);
      const file = path.join(folder, `${model}.pt`);
      await exported.save(file);
      const again = await Module.load(file);
      const reloaded = numbersOf((await again.forward(Tensor.from(images64, [64, 1, 8, 8]))) as Tensor);
      const python = runPython<{ logits: number[]; bits: number; losses: number[]; missing: string[] }>(
        CHECK,
        file,
        data,
      );
      for (const [at, value] of expected.entries()) {
        expect(Math.abs((python.logits[at] as number) - value)).toBeLessThan(
          1e-5 * Math.max(1, Math.abs(value)),
        );
        expect(Math.abs((reloaded[at] as number) - value)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
      }
      if (!formats.some((name) => name === "fp8")) {
        expect(python.bits).toBeCloseTo(mixed.cost(mixed.active, "effectiveBits"), 10);
      }
      expect(python.missing).toEqual([]);
      expect(python.losses.at(-1)).toBeLessThan(python.losses[0] as number);
    },
  );

  it("the module is as it was, and shares nothing with what was exported", async () => {
    const module = await Module.load(path.join(folder, "digits_resnet.pt"));
    module.close();
    const mine = await digitsSpace("digits_resnet", { formats: ["int8_weight_only"] });
    const x = Tensor.from(await firstImages(4), [4, 1, 8, 8]);
    const before = numbersOf((await mine.forward(x)) as Tensor);
    mine.select(mine.uniform("int8_weight_only"));
    const exported = await mine.export();
    for (const { tensor } of exported.namedParameters()) {
      const elements = tensor.data() as Float32Array;
      elements.fill(0);
    }
    mine.select(mine.fullConfig);
    expect(numbersOf((await mine.forward(x)) as Tensor)).toEqual(before);
  });
});

describe("costs", () => {
  it("effective bits and bytes are those of the formats", async () => {
    const weights = space.hyperparameters.reduce((sum, group) => sum + group.weights, 0);
    expect(space.cost(space.fullConfig, "effectiveBits")).toBe(32);
    expect(space.cost(space.uniform("int4"), "effectiveBits")).toBe(4);
    const one = { ...space.uniform("int4"), fc: "int8" };
    const fc = space.hyperparameters.find(({ name }) => name === "fc")?.weights as number;
    expect(space.cost(one, "effectiveBits")).toBeCloseTo(4 + (4 * fc) / weights, 12);
    const full = space.cost(space.fullConfig, "size");
    const channels = space.layers.reduce((sum, { weightShape }) => sum + (weightShape[0] as number), 0);
    const grids = 4 * channels + 8 * space.layers.length;
    expect(space.cost(space.uniform("int8"), "size")).toBe(full - 3 * weights + grids);
    for (const metric of space.metrics) {
      const config = space.sample(new Random(1));
      const parts = space.hyperparameters.map(
        ({ name, choices }) =>
          space.groupCosts(name, metric)[choices.indexOf(config[name] as string)] as number,
      );
      const sum = parts.reduce((total, part) => total + part, space.fixedCost(metric));
      expect(sum).toBeCloseTo(space.cost(config, metric), 6);
    }
  });

  it("layers that read the same activation are one group, unless told otherwise", async () => {
    const grouped = await digitsSpace();
    const group = grouped.hyperparameters.find(({ name }) => name === "layer2.0.conv1");
    expect(group?.layers).toEqual(["layer2.0.conv1", "layer2.0.downsample.0"]);
    expect(space.hyperparameters.every(({ layers }) => layers.length === 1)).toBe(true);
  });

  it("excluded layers stay as they are", async () => {
    const part = await digitsSpace("digits_resnet", { exclude: ["conv1", /^fc$/] });
    expect(part.uniform("int4")).toMatchObject({ conv1: "none", fc: "none", "layer1.0.conv1": "int4" });
    await expectCode("ERR_CHOICE", () => part.select({ fc: "int8" }));
    await expectCode("ERR_ARGUMENT", () => digitsSpace("digits_resnet", { exclude: ["fc2"] }));
  });
});

describe("refused", () => {
  it("rounding activations before they are calibrated", async () => {
    const fresh = await digitsSpace();
    fresh.select(fresh.uniform("int8"));
    await expectCode("ERR_NOT_CALIBRATED", () => fresh.forward(dummyInput()));
    await expectCode("ERR_NOT_CALIBRATED", () => fresh.calibration());
  });

  it("values that are not finite", async () => {
    const fresh = await digitsSpace();
    const bad = Tensor.from(new Float32Array(64).fill(Number.NaN), [1, 1, 8, 8]);
    await expectCode("ERR_CALIBRATION_NAN", () => fresh.calibrate([[bad]]));
  });

  it.each([
    [{ formats: ["int7"] }, "ERR_UNKNOWN_FORMAT"],
    [{ formats: [] }, "ERR_CONFIG_VALUE"],
    [{ formats: ["int8", "int8"] }, "ERR_CONFIG_VALUE"],
    [{ formats: { none: "int8" } }, "ERR_CONFIG_VALUE"],
    [{ formats: { mine: {} } }, "ERR_CONFIG_VALUE"],
    [{ formats: { mine: { weights: {} } } }, "ERR_UNKNOWN_CONFIG_KEY"],
    [{ formats: { mine: { activation: { granularity: "channel" } } } }, "ERR_CONFIG_VALUE"],
  ])("%j", async (config, code) => {
    const error = await expectCode(code, () => digitsSpace("digits_resnet", config as never));
    if (code === "ERR_UNKNOWN_FORMAT") expect(error.message).toContain('did you mean "int8"');
  });

  it("unknown groups, formats and metrics", async () => {
    await expectCode("ERR_UNKNOWN_HYPERPARAMETER", () => space.select({ conv2: "int8" }));
    await expectCode("ERR_CHOICE", () => space.select({ conv1: "int2" }));
    await expectCode("ERR_UNKNOWN_METRIC", () => space.cost(space.active, "flops" as never));
    await expectCode("ERR_NO_TRAINING", () => space.train());
  });

  it("a closed space", async () => {
    const fresh = await digitsSpace();
    fresh.close();
    expect(fresh.closed).toBe(true);
    await expectCode("ERR_CLOSED", () => fresh.forward(dummyInput()));
  });
});

it("other batch sizes run, and accuracy holds", async () => {
  space.select(space.uniform("int8"));
  expect(await topKAccuracy(await testData(125))(space)).toBeGreaterThan(0.98);
  expect(((await space.forward(await images(3))) as Tensor).shape).toEqual([3, 10]);
});

async function firstImages(count: number): Promise<Float32Array> {
  return elements(await testData(count), 0) as Promise<Float32Array>;
}

async function firstTrainImages(count: number): Promise<Float32Array> {
  return elements(await trainData(count), 0) as Promise<Float32Array>;
}

async function firstTrainLabels(count: number): Promise<BigInt64Array> {
  return elements(await trainData(count), 1) as Promise<BigInt64Array>;
}

/** The first batch's tensor at a position. */
async function elements(loader: Awaited<ReturnType<typeof testData>>, at: number): Promise<unknown> {
  for await (const batch of loader) {
    return (Object.values(batch)[at] as Tensor).data().slice();
  }
  throw new Error("no batch");
}
