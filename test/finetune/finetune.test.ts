/** Resuming, aborting, and what goes wrong: finetune() on small fixtures. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type FinetuneOptions,
  finetune,
  Module,
  meanSquaredError,
  type ProgressEvent,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import {
  readTrainingCheckpoint,
  type TrainingCheckpoint,
  writeTrainingCheckpoint,
} from "../../lib/finetune/checkpoint";
import { runUntil } from "../support/killable";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures", "finetune");
const load = (name: string) => Module.load(path.join(fixtures, `${name}.pt`));

let folder: string;
let data: TensorDataLoader;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-finetune-"));
  data = await TensorDataLoader.fromNpz(path.join(fixtures, "data.npz"), {
    keys: ["images", "labels"],
    batchSize: 8,
  });
});
afterAll(() => {
  data.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Trains a fresh copy; its fingerprint and the result. */
async function trained(name: string, options: FinetuneOptions, loader: unknown = data) {
  const module = await load(name);
  try {
    const result = await finetune(module, loader as TensorDataLoader, options);
    return { result, fingerprint: await module.fingerprint() };
  } finally {
    module.close();
  }
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe("resuming", () => {
  const cases: [name: string, options: FinetuneOptions][] = [
    ["small", { epochs: 3, learningRate: 0.01 }],
    ["dropout", { epochs: 3, learningRate: 0.01, optimizer: "sgd", warmupSteps: 4 }],
    ["small", { steps: 16, learningRate: 0.01, recalibrate: true }],
  ];
  it.each(cases)("%s ends with the same bits as an uninterrupted run (%o)", async (name, options) => {
    const scored = { ...options, seed: 3, scoreFunc: topKAccuracy(data), checkpointSeconds: 0 };
    const whole = await trained(name, scored);
    for (const [at, loader] of [
      [4, data],
      [9, data],
      [9, () => data],
    ] as const) {
      const file = path.join(folder, `${name}-${at}-${typeof loader}-${options.steps}.safetensors`);
      const controller = new AbortController();
      const module = await load(name);
      // Such a loader doesn't tell how long it is.
      const order = typeof loader === "function" ? { shuffle: false, epochs: null, steps: 15 } : {};
      const straight =
        typeof loader === "function" ? await trained(name, { ...scored, ...order }, loader) : whole;
      const onProgress = ({ phase, done }: ProgressEvent) => {
        if (phase === "train" && done >= at) controller.abort();
      };
      const stopped = { ...scored, ...order, checkpoint: file };
      await expect(
        finetune(module, loader, { ...stopped, onProgress, signal: controller.signal }),
      ).rejects.toEqual(code("ERR_ABORTED"));
      module.close();
      const resumed = await trained(name, stopped, loader);
      expect(resumed).toEqual(straight);
      // A finished training has nothing left to do.
      expect(await trained(name, stopped, loader)).toEqual(straight);
    }
  });

  it("counts a step that an abort didn't stop", async () => {
    const checkpoint = path.join(folder, "mid-step.safetensors");
    const batches = Array.from({ length: 6 }, (_, i) => data.batch(i % data.batches));
    const options = { steps: 6, shuffle: false, epochs: null };
    const whole = await trained("small", options, batches);
    for (const delay of [0, 1, 2, 3]) {
      const module = await load("small");
      const controller = new AbortController();
      const onProgress = ({ done }: ProgressEvent) => {
        if (done === 2) setTimeout(() => controller.abort(), delay);
      };
      const run = { ...options, checkpoint, checkpointSeconds: 0 };
      const stopped = finetune(module, batches, { ...run, onProgress, signal: controller.signal });
      await stopped.catch((error: unknown) => expect(error).toEqual(code("ERR_ABORTED")));
      module.close();
      const resumed = await trained("small", run, batches);
      expect(resumed.fingerprint, `${delay} ms`).toBe(whole.fingerprint);
      rmSync(checkpoint, { force: true });
    }
  });

  it("goes on with the module that was aborted, too", async () => {
    const checkpoint = path.join(folder, "same-module.safetensors");
    const whole = await trained("small", { epochs: 2 });
    const module = await load("small");
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const first = finetune(module, data, {
      epochs: 2,
      checkpoint,
      onProgress,
      signal: controller.signal,
      checkpointSeconds: 0,
    });
    await expect(first).rejects.toEqual(code("ERR_ABORTED"));
    expect(await finetune(module, data, { epochs: 2, checkpoint })).toEqual(whole.result);
    expect(await module.fingerprint()).toBe(whole.fingerprint);
    module.close();
  });

  it("goes on from a checkpoint that spells its settings as an earlier version did", async () => {
    const checkpoint = path.join(folder, "earlier.safetensors");
    const loader = await TensorDataLoader.fromNpz(path.join(fixtures, "data.npz"), {
      keys: ["images", "values"],
      batchSize: 8,
    });
    const options: FinetuneOptions = { steps: 2, loss: "meanSquaredError", checkpoint };
    const first = await trained("small", options, loader);
    const written = (await readTrainingCheckpoint(checkpoint)) as TrainingCheckpoint<unknown>;
    await writeTrainingCheckpoint(checkpoint, { ...written, settings: { ...written.settings, loss: "mse" } });
    expect(readFileSync(checkpoint, "latin1")).toMatch(/loss\W+mse/);
    expect(await trained("small", options, loader)).toEqual(first);
    for (const { tensor } of written.tensors) tensor.close();
    loader.close();
  });

  it("refuses other options, another model and damaged files", async () => {
    const checkpoint = path.join(folder, "refused.safetensors");
    await trained("small", { steps: 2, checkpoint });
    await expect(trained("small", { steps: 2, learningRate: 0.5, checkpoint })).rejects.toEqual(
      code("ERR_CHECKPOINT_OPTIONS"),
    );
    await expect(trained("dropout", { steps: 2, checkpoint })).rejects.toEqual(code("ERR_CHECKPOINT_MODEL"));
    writeFileSync(checkpoint, "nothing");
    await expect(trained("small", { steps: 2, checkpoint })).rejects.toEqual(code("ERR_CHECKPOINT_CORRUPT"));
  });

  it("survives kill -9", { timeout: 120_000 }, async () => {
    const script = path.join(folder, "train.cjs");
    const lines = [
      `const { finetune, Module, TensorDataLoader } = require(${JSON.stringify(path.join(root, "dist", "index.js"))});`,
      `const fixtures = ${JSON.stringify(fixtures)};`,
      "(async () => {",
      '  const options = { keys: ["images", "labels"], batchSize: 8 };',
      '  const data = await TensorDataLoader.fromNpz(fixtures + "/data.npz", options);',
      '  const module = await Module.load(fixtures + "/dropout.pt");',
      "  await finetune(module, data, { epochs: 5, checkpoint: process.argv[2], checkpointSeconds: 0, seed: 5 });",
      "  process.stdout.write(await module.fingerprint());",
      "})();",
    ];
    writeFileSync(script, lines.join("\n"));
    const start = performance.now();
    const whole = await runUntil(script, [path.join(folder, "whole.safetensors")], null);
    const took = performance.now() - start;
    expect(whole).toMatch(/^[0-9a-f]{64}$/);
    let killed = 0;
    for (const share of [0.7, 0.9]) {
      const file = path.join(folder, `killed-${share}.safetensors`);
      const wait = () => new Promise((resolve) => setTimeout(resolve, took * share));
      if ((await runUntil(script, [file], wait)) === null) killed += 1;
      expect(await runUntil(script, [file], null)).toBe(whole);
    }
    expect(killed).toBeGreaterThan(0);
  });
});

describe("what is kept", () => {
  it("keeps the best weights, and gives their score", async () => {
    const module = await load("small");
    let call = 0;
    const fingerprints: string[] = [];
    const scores = [0.1, 0.5, 0.9, 0.3];
    const result = await finetune(module, data, {
      epochs: 3,
      scoreFunc: async () => {
        fingerprints.push(await module.fingerprint());
        return scores[call++] as number;
      },
    });
    expect(result).toMatchObject({ before: 0.1, score: 0.9, bestEpoch: 2 });
    expect(await module.fingerprint()).toBe(fingerprints[2]);
    expect(new Set(fingerprints).size).toBe(4);
    module.close();
  });

  it("leaves weights that are not trained, and gradients' flags, as they were", async () => {
    const module = await load("small");
    const before = new Map(module.namedParameters().map(({ name, tensor }) => [name, [...tensor.data()]]));
    const result = await finetune(module, data, { steps: 3, trainable: (name) => name.startsWith("head") });
    expect(result.trained).toEqual(["head.weight", "head.bias"]);
    for (const { name, tensor } of module.namedParameters()) {
      if (name.startsWith("head")) expect([...tensor.data()]).not.toEqual(before.get(name));
      else expect([...tensor.data()]).toEqual(before.get(name));
    }
    module.close();
  });

  it("goes back to the last good weights when the loss is no number", async () => {
    const module = await load("small");
    const before = await module.fingerprint();
    await expect(
      finetune(module, data, { epochs: 50, optimizer: "sgd", learningRate: 1e30 }),
    ).rejects.toThrow(/not (a )?finite.*learning rate.*before training/s);
    expect(await module.fingerprint()).toBe(before);
    module.close();
  });

  it("averages the batch norms' statistics as PyTorch's cumulative average does", async () => {
    const module = await load("small");
    // No step changes anything at this rate; what is left is the recalibration.
    const result = await finetune(module, data, {
      steps: 1,
      learningRate: 1e-30,
      weightDecay: 0,
      recalibrate: true,
    });
    expect(result.recalibratedBatches).toBe(6);
    const mean = module.namedBuffers().find(({ name }) => name === "bn.running_mean") as { tensor: Tensor };
    // Without a bias, a convolution of padded images: compare with a batch of all samples, of equal batch sizes.
    const all = await TensorDataLoader.fromNpz(path.join(fixtures, "data.npz"), {
      keys: ["images", "labels"],
      batchSize: 48,
    });
    const other = await load("small");
    await finetune(other, all, { steps: 1, learningRate: 1e-30, weightDecay: 0, recalibrate: true });
    const whole = other.namedBuffers().find(({ name }) => name === "bn.running_mean") as { tensor: Tensor };
    const expected = Array.from(whole.tensor.data(), Number);
    for (const [i, value] of Array.from(mean.tensor.data(), Number).entries())
      expect(value).toBeCloseTo(expected[i] as number, 5);
    for (const each of [module, other, all]) each.close();
  });
});

describe("a loss in JavaScript", () => {
  it("trains as the built-in one does, given the same gradient", async () => {
    const loader = await TensorDataLoader.fromNpz(path.join(fixtures, "data.npz"), {
      keys: ["images", "values"],
      batchSize: 8,
    });
    const options: FinetuneOptions = { steps: 8, shuffle: false, optimizer: "sgd", learningRate: 0.05 };
    const builtIn = await load("small");
    await finetune(builtIn, loader, { ...options, loss: "meanSquaredError" });
    const own = await load("small");
    const result = await finetune(own, loader, {
      ...options,
      lossFunc: (output, batch: { values: Tensor }) => {
        const target = batch.values.data() as Float32Array;
        const errors = (output.data() as Float32Array).map((value, i) => value - (target[i] as number));
        const loss = errors.reduce((sum, error) => sum + error * error, 0) / errors.length;
        return {
          loss,
          gradient: Tensor.from(
            errors.map((error) => (2 * error) / errors.length),
            output.shape,
          ),
        };
      },
    });
    expect(result.steps).toBe(8);
    const expected = new Map(builtIn.namedParameters().map(({ name, tensor }) => [name, tensor.data()]));
    for (const { name, tensor } of own.namedParameters()) {
      const other = Array.from(expected.get(name) as Float32Array);
      for (const [i, value] of Array.from(tensor.data() as Float32Array).entries())
        expect(value).toBeCloseTo(other[i] as number, 5);
    }
    expect(await meanSquaredError(loader)(own)).toBeCloseTo(await meanSquaredError(loader)(builtIn), 5);
    for (const each of [builtIn, own, loader]) each.close();
  });

  it("refuses a loss without its gradient, and takes the forward pass back", async () => {
    const module = await load("small");
    const before = await module.fingerprint();
    const lossFunc = (() => 0.5) as never;
    await expect(finetune(module, data, { steps: 1, lossFunc })).rejects.toEqual(code("ERR_GRADIENT"));
    expect(await module.fingerprint()).toBe(before);
    module.close();
  });
});

describe("what is refused", () => {
  it.each([
    ["frozen", "ERR_FROZEN"],
    ["half", "ERR_DTYPE"],
  ])("%s modules", async (name, expected) => {
    await expect(trained(name, { steps: 1 })).rejects.toEqual(code(expected));
  });

  it.each<[FinetuneOptions, string]>([
    [{ epochs: 1, steps: 1 }, "ERR_CONFIG_VALUE"],
    [{ learningRate: -1 }, "ERR_CONFIG_VALUE"],
    [{ learning_rate: 1 } as FinetuneOptions, "ERR_UNKNOWN_CONFIG_KEY"],
    [{ alpha: 0.5 }, "ERR_CONFIG_VALUE"],
    [{ nesterov: true }, "ERR_CONFIG_VALUE"],
    [{ trainable: () => false }, "ERR_NO_PARAMETERS"],
    [{ loss: "meanSquaredError" }, "ERR_SCORE_INPUT"],
    [{ scoreFunc: () => Number.NaN }, "ERR_SCORE_NAN"],
  ])("options %o", async (options, expected) => {
    await expect(trained("small", options)).rejects.toEqual(code(expected));
  });

  it("empty loaders, iterables of unknown length under a cosine, closed modules, two trainings at once", async () => {
    await expect(trained("small", { steps: 1 }, [])).rejects.toEqual(code("ERR_EMPTY_LOADER"));
    await expect(trained("small", {}, () => data)).rejects.toEqual(code("ERR_CONFIG_VALUE"));
    const module = await load("small");
    const running = finetune(module, data, { epochs: 2 });
    await expect(finetune(module, data)).rejects.toEqual(code("ERR_BUSY"));
    await running;
    const closing = finetune(module, data, { epochs: 500, onProgress: () => module.close() });
    await expect(closing).rejects.toEqual(code("ERR_CLOSED"));
    await expect(finetune(module, data)).rejects.toEqual(code("ERR_CLOSED"));
  });
});
