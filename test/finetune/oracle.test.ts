/** Losses and weights of training against PyTorch's optimizers; see scripts/fixtures/finetune_oracle.py. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type FinetuneOptions, finetune, Module, TensorDataLoader } from "../../lib";
import type { TrainingProgress } from "../../lib/entries/finetune";
import { root } from "../support/zoo";

interface Case {
  options: FinetuneOptions;
  losses: number[];
  tensors: Record<string, { sum: number; squares: number; first: number[] }>;
}

const folder = path.join(root, "test", "fixtures", "finetune");
const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "finetune.json"), "utf8")) as {
  batchSize: number;
  steps: number;
  cases: Record<string, Case>;
};

let labels: TensorDataLoader;
let values: TensorDataLoader;
let teacher: Module;

beforeAll(async () => {
  const load = (target: string) =>
    TensorDataLoader.fromNpz(path.join(folder, "data.npz"), {
      keys: ["images", target],
      batchSize: oracle.batchSize,
    });
  labels = await load("labels");
  values = await load("values");
  teacher = await Module.load(path.join(folder, "teacher.pt"));
});
afterAll(() => {
  for (const each of [labels, values, teacher]) each.close();
});

function close(actual: number, expected: number, tolerance: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(expected)));
}

describe.each(Object.entries(oracle.cases))("%s", (_, { options, losses, tensors }) => {
  it.each(["natively", "by batches from JavaScript"])("%s", async (way) => {
    const module = await Module.load(path.join(folder, "small.pt"));
    const loader = options.loss === "meanSquaredError" ? values : labels;
    const found: number[] = [];
    const result = await finetune(module, way === "natively" ? loader : () => loader, {
      ...options,
      ...(options.alpha !== undefined && { teacher }),
      steps: oracle.steps,
      shuffle: false,
      onProgress: ({ details }) => {
        const { step, loss } = details as TrainingProgress;
        found[step - 1] = loss;
      },
    });
    expect(result.steps).toBe(oracle.steps);
    expect(module.training).toBe(false);
    // Of native progress only the latest event is delivered; from JavaScript, every one.
    if (way !== "natively") expect(found.length).toBe(oracle.steps);
    for (const [i, loss] of Object.entries(found)) close(loss, losses[Number(i)] as number, 1e-5);
    const epochs = [losses.slice(0, 6), losses.slice(6)].map((part) => part.reduce((a, b) => a + b, 0) / 6);
    for (const [i, { loss }] of result.epochs.entries()) close(loss, epochs[i] as number, 1e-5);
    for (const { name, tensor } of [...module.namedParameters(), ...module.namedBuffers()]) {
      const expected = tensors[name];
      if (expected === undefined) throw new Error(name);
      const elements = Array.from(tensor.data(), Number);
      close(
        elements.reduce((a, b) => a + b, 0),
        expected.sum,
        2e-5,
      );
      close(
        elements.reduce((a, b) => a + b * b, 0),
        expected.squares,
        2e-5,
      );
      for (const [i, first] of expected.first.entries()) close(elements[i] as number, first, 1e-5);
    }
    module.close();
  });
});
