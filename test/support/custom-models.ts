/** Models for hyperparameters of the user's own; scripts/fixtures/custom_hyperparameters.py makes them, with what PyTorch computes. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";

import {
  type ConvertConfig,
  convert,
  Module,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { python } from "../data/python";
import { numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

export let folder: string;
export let expected: Record<string, number[]>;
export let tensors: Record<"binary" | "head" | "bias", Tensor>;
export let images: Tensor[];
export let module: Module;
export let space: SearchSpace;

export const at = (name: string) => path.join(folder, name);
export const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

export async function spaceOf(file = "model.pt", config: ConvertConfig = {}): Promise<SearchSpace> {
  module = await Module.load(at(file));
  return convert(module, "fastnas", dummyInput(), { channelDivisor: 2, ...config });
}

/** Makes the models with PyTorch, and a space of the first one before each test of the file that calls it. */
export function prepareCustomModels(): void {
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
}

/** Closes the present space, and uses another one. */
export async function replaceSpace(next: Promise<SearchSpace>): Promise<void> {
  space.close();
  space = await next;
}

export async function addAll(to: SearchSpace): Promise<void> {
  await to.addHyperparameter("slope", { constant: "act.leaky_relu.negative_slope", values: [0.3, 0.1] });
  await to.addHyperparameter("scale", { constant: "attn.mul.other", values: [1, 4] });
  await to.addHyperparameter("epsilon", { constant: "norm.batch_norm.eps", values: [0.5] });
  await to.addHyperparameter("bound", { constant: "clip.hardtanh.max_val", values: [1] });
  await to.addHyperparameter("binary", { tensor: "conv2.weight", values: [tensors.binary] });
  await to.addHyperparameter("head", { tensor: "head.weight", values: [tensors.head] });
}

/** The config of each edit that the script makes. */
export const EDITS: Record<string, SubnetConfig> = {
  none: {},
  slope: { slope: 0.3 },
  scale: { scale: 1 },
  epsilon: { epsilon: 0.5 },
  bound: { bound: 1 },
  binary: { binary: 0 },
  head: { head: 0 },
  all: { slope: 0.3, scale: 1, epsilon: 0.5, bound: 1, binary: 0, head: 0 },
};

export async function outputsOf(model: SearchSpace | Module, input = images[0] as Tensor): Promise<number[]> {
  return numbersOf((await model.forward(input)) as Tensor).map(Number);
}

export function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] as number))));
}
