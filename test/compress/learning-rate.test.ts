/** The choice of a learning rate: what is tried, and what wins. Models and scores are stand-ins. */
import { expect, it } from "vitest";

import { chooseLearningRate, type LearningRateTrial } from "../../lib/compress/learning-rate";
import { TorchSearchError } from "../../lib/errors";
import type { Module } from "../../lib/model/module";
import { expectCode } from "../support/tensors";

/** Modules are numbered; a trained one scores by its learning rate. */
function bench(scores: Record<string, number | string>) {
  const tried: { learningRate: number; steps: number }[] = [];
  const open = new Set<unknown>();
  const rates = new Map<unknown, number>();
  const trial: LearningRateTrial = {
    subnet: { close: () => expect.unreachable("the subnet stays open") } as unknown as Module,
    steps: 640,
    optimizer: "adamw",
    copy: async () => {
      const copy = { close: () => open.delete(copy) };
      open.add(copy);
      return copy as unknown as Module;
    },
    train: async (module, learningRate, steps) => {
      tried.push({ learningRate, steps });
      rates.set(module, learningRate);
      const found = scores[learningRate.toExponential(0)];
      if (typeof found === "string") throw new TorchSearchError(found, "no");
    },
    score: async (module) => scores[(rates.get(module) as number).toExponential(0)] as number,
    signal: null,
  };
  return { trial, tried, open };
}

it("tries three for a sixteenth of the steps each, and takes the best", async () => {
  const { trial, tried, open } = bench({ "1e-3": 0.7, "3e-4": 0.9, "1e-4": 0.8 });
  expect(await chooseLearningRate(trial)).toBeCloseTo(3e-4, 10);
  expect(tried.map(({ steps }) => steps)).toEqual([40, 40, 40]);
  expect(tried.map(({ learningRate }) => learningRate.toExponential(0))).toEqual(["1e-3", "3e-4", "1e-4"]);
  expect(open.size).toBe(0);
});

it("takes the larger one of equals, and none whose training or score is not finite", async () => {
  expect(await chooseLearningRate(bench({ "1e-3": 0.8, "3e-4": 0.8, "1e-4": 0.8 }).trial)).toBe(1e-3);
  const first = bench({ "1e-3": "ERR_LOSS_NAN", "3e-4": 0.1, "1e-4": "ERR_SCORE_NAN" });
  expect(await chooseLearningRate(first.trial)).toBeCloseTo(3e-4, 10);
  expect(first.open.size).toBe(0);
  const all = bench({ "1e-3": "ERR_LOSS_NAN", "3e-4": "ERR_LOSS_NAN", "1e-4": "ERR_LOSS_NAN" });
  expect(await chooseLearningRate(all.trial)).toBe(1e-3);
});

it("tries nothing where there are too few steps, or nobody knows how many", async () => {
  for (const steps of [null, 0, 47]) {
    const { trial, tried } = bench({});
    expect(await chooseLearningRate({ ...trial, steps, optimizer: "sgd" })).toBe(1e-2);
    expect(tried).toEqual([]);
  }
  const { trial, tried } = bench({ "1e-3": 1, "3e-4": 0, "1e-4": 0 });
  await chooseLearningRate({ ...trial, steps: 48 });
  expect(tried.map(({ steps }) => steps)).toEqual([16, 16, 16]);
});

it("throws other errors, with every copy closed", async () => {
  const { trial, open } = bench({ "1e-3": 0.5, "3e-4": "ERR_OUT_OF_MEMORY" });
  await expectCode("ERR_OUT_OF_MEMORY", () => chooseLearningRate(trial));
  expect(open.size).toBe(0);
  const controller = new AbortController();
  controller.abort();
  await expectCode("ERR_ABORTED", () => chooseLearningRate({ ...trial, signal: controller.signal }));
});
