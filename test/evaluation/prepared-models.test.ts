/** What loops compute by prepared execution, against the module's own forward: networks of every kind, of ours and of torchvision. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { Module, meanSquaredError, Random, Tensor, TensorDataLoader } from "../../lib";
import { numbersOf } from "../support/tensors";
import { root, zooModel } from "../support/zoo";

const hard = path.join(root, "test", "fixtures", "hard");

interface Case {
  files: Record<string, string>;
  inputs: ({ shape?: number[]; dtype?: string; data?: number[] } | null)[];
}

const { cases } = JSON.parse(readFileSync(path.join(hard, "index.json"), "utf8")) as {
  cases: Record<string, Case>;
};

/** The hard cases that take one array of floats, as scores do; not the one whose outputs are NaN. */
const HARD = Object.entries(cases).flatMap(
  ([
    name,
    {
      files,
      inputs: [input, ...others],
    },
  ]) =>
    name !== "nan" && others.length === 0 && input?.dtype === "float32"
      ? Object.entries(files).map(([form, file]): [string, string, Tensor] => [
          `${name}, ${form}`,
          path.join(hard, file),
          Tensor.from(new Float32Array(input.data as number[]), input.shape as number[]),
        ])
      : [],
);

const ZOO = [
  "resnet18",
  "mobilenet_v2",
  "mobilenet_v3_small",
  "shufflenet_v2_x1_0",
  "squeezenet1_0",
  "densenet121",
  "efficientnet_b0",
  "regnet_y_400mf",
  "convnext_tiny",
  "swin_t",
];

/** The root of the mean squared difference of a loop's outputs from the forward's, relative to the largest of these. */
async function difference(module: Module, input: Tensor): Promise<number | null> {
  const output = await module.forward(input);
  if (!(output instanceof Tensor) || output.shape[0] !== input.shape[0] || output.dtype !== "float32")
    return null;
  const loader = TensorDataLoader.fromTensors([input, output], { batchSize: input.shape[0] as number });
  const error = -(await meanSquaredError(loader)(module));
  const largest = Math.max(...numbersOf(output).map((value) => Math.abs(Number(value))));
  loader.close();
  return Math.sqrt(error) / largest;
}

describe("prepared execution gives what forward() gives", { timeout: 120_000 }, () => {
  /** Outputs that a score does not take: several, or none for each sample. */
  const passedOver: string[] = [];

  it.each(HARD)("%s", async (name, file, input) => {
    const module = (await Module.load(file)).eval();
    const found = await difference(module, input);
    module.close();
    if (found === null) passedOver.push(name);
    else expect(found).toBeLessThan(1e-5);
  });

  it("for all but a few of them", () => {
    expect(passedOver.length).toBeLessThan(HARD.length / 10);
  });

  it.each(ZOO)("%s", async (name) => {
    const module = (await Module.load(zooModel(name, "scripted"))).eval();
    const random = new Random(1);
    const pixels = Float32Array.from({ length: 2 * 3 * 224 * 224 }, () => random.float() - 0.5);
    const found = await difference(module, Tensor.from(pixels, [2, 3, 224, 224]));
    module.close();
    expect(found).toBeLessThan(1e-5);
  });
});
