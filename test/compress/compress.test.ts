/** `compress()` on digits: what comes out is loaded, priced by `profile` and rated anew. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type CompressOptions,
  compress,
  Module,
  profile,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { forgedBy } from "../fuzz/mutations/checkpoint";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
let folder: string;
let train: TensorDataLoader;
let test: TensorDataLoader;
let unlabelled: TensorDataLoader;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-compress-"));
  const file = path.join(fixtures, "digits.npz");
  train = await TensorDataLoader.fromNpz(file, { keys: ["train_images", "train_labels"], batchSize: 128 });
  test = await TensorDataLoader.fromNpz(file, { keys: ["test_images", "test_labels"], batchSize: 250 });
  unlabelled = await TensorDataLoader.fromNpz(file, { keys: ["train_images"], batchSize: 128 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = () => Module.load(path.join(fixtures, "digits_cnn.pt"));
const quick = (output: string): CompressOptions => ({
  data: train,
  holdout: test,
  dummyInput: dummyInput(),
  loss: "crossEntropy",
  steps: 1,
  epochs: 1,
  searchBatches: 1,
  searcher: "binary",
  searcherConfig: { maxChoices: 1 },
  convert: { channelDivisor: 16 },
  output: path.join(folder, output),
});

describe("compress", { timeout: 900_000 }, () => {
  it("gives a file that costs what it says, rates as it says, and keeps to the user's wishes", async () => {
    const module = await load();
    const before = await module.fingerprint();
    const lines: string[] = [];
    const result = await compress(module, {
      ...quick("small.pt"),
      target: { flops: "60%" },
      convert: { channelDivisor: 16, exclude: ["depth"] },
      onStep: (line) => lines.push(line),
    });
    expect(await module.fingerprint()).toBe(before);
    const small = await Module.load(result.output);
    const costs = await profile(small, dummyInput(), { metrics: ["flops", "params"] });
    expect(costs.flops).toBe(result.costs.flops);
    expect(costs.params).toBe(result.costs.params);
    expect(costs.flops).toBeLessThanOrEqual(0.6 * (result.fullCosts.flops as number));
    expect(await topKAccuracy(test)(small)).toBeCloseTo(result.score, 9);
    expect(await topKAccuracy(test)(module)).toBeCloseTo(result.fullScore, 9);
    expect(result).toMatchObject({
      rating: "accuracy",
      labelled: true,
      met: true,
      ended: "plan",
      samples: 500,
    });
    expect(result.interval?.low).toBeLessThanOrEqual(result.drop);
    expect(result.interval?.high).toBeGreaterThanOrEqual(result.drop);
    expect(lines.length).toBe(result.steps.length);
    expect(existsSync(result.steps[0]?.file as string)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("goes on from its checkpoint after an abort, and refuses other options", async () => {
    const checkpoint = path.join(folder, "state.safetensors");
    const options = { ...quick("resumed.pt"), target: { flops: "50%" as const }, steps: 2, checkpoint };
    const stop = new AbortController();
    const first = compress(await load(), {
      ...options,
      signal: stop.signal,
      onStep: () => stop.abort(),
    });
    await expectCode("ERR_ABORTED", () => first);
    const resumed: string[] = [];
    const result = await compress(await load(), { ...options, onStep: (line) => resumed.push(line) });
    expect(resumed.length).toBe(result.steps.length - 1);
    expect(result.steps.map(({ step }) => step)).toEqual(result.steps.map((_, at) => at + 1));
    expect(result.met).toBe(true);
    await expectCode("ERR_CHECKPOINT_OPTIONS", async () => compress(await load(), { ...options, epochs: 2 }));
    await refusesForged(checkpoint, async () => compress(await load(), options));
    const whole = await compress(await load(), {
      ...options,
      checkpoint: null,
      output: path.join(folder, "whole.pt"),
    });
    const [one, other] = await Promise.all([Module.load(result.output), Module.load(whole.output)]);
    expect(await one.fingerprint()).toBe(await other.fingerprint());
  });

  /** Other steps in a checkpoint, with the digest that belongs to them; and then as it was. */
  async function refusesForged(checkpoint: string, resume: () => Promise<unknown>): Promise<void> {
    const sound = readFileSync(checkpoint);
    const forged = async (
      code: string,
      edit: (steps: Record<string, unknown>[]) => unknown,
    ): Promise<void> => {
      const other = forgedBy(sound, (metadata) => {
        const state = JSON.parse(metadata.state as string) as { records: Record<string, unknown>[] };
        state.records = (edit(state.records) ?? state.records) as typeof state.records;
        metadata.state = JSON.stringify(state);
      });
      writeFileSync(checkpoint, other);
      rmSync(`${checkpoint}.previous`, { force: true });
      await expectCode(code, resume);
    };
    const each = (fields: Record<string, unknown>) => (steps: Record<string, unknown>[]) =>
      steps.map((step) => ({ ...step, ...fields }));
    await forged("ERR_CHECKPOINT_CORRUPT", each({ file: 5 }));
    // Files of others aren't copied to the output, and nothing waits for them.
    const secret = path.join(folder, "secret");
    writeFileSync(secret, "secret");
    const output = readFileSync(path.join(folder, "resumed.pt"));
    await forged("ERR_NOT_TORCHSCRIPT", each({ file: secret }));
    await forged("ERR_FILE_READ", each({ file: "/dev/zero" }));
    await forged("ERR_CHECKPOINT_MODEL", each({ file: path.join(fixtures, "digits_cnn.pt") }));
    expect(readFileSync(path.join(folder, "resumed.pt")).equals(output)).toBe(true);
    writeFileSync(checkpoint, sound);
  }

  it("tries importances where it may choose, takes the best, and remembers it", async () => {
    const lines: string[] = [];
    const options: CompressOptions = {
      ...quick("auto.pt"),
      target: { flops: "70%" },
      importance: "auto",
      checkpoint: path.join(folder, "auto.safetensors"),
      onStep: (line) => lines.push(line),
    };
    const { importances } = await compress(await load(), options);
    const scores = importances?.map(({ score }) => score) ?? [];
    expect(importances?.map(({ importance }) => importance).sort()).toEqual([
      "activation",
      "bnScale",
      "fpgm",
      "l2",
      "lamp",
      "obd",
      "obs",
      "taylor",
    ]);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(lines[0]).toContain(`Chosen: ${importances?.[0]?.importance}`);
    expect((await compress(await load(), options)).importances).toEqual(importances);
    // Labels are needed by some, which stay out without them.
    const { importances: others } = await compress(await load(), {
      ...quick("auto-unlabelled.pt"),
      data: unlabelled,
      loss: null,
      target: { flops: "70%" },
      importance: "auto",
    });
    expect(others?.map(({ importance }) => importance)).not.toContain("taylor");
    expect(others?.length).toBe(6);
  });

  it("is surer by the interval than by the drop, and better before training where layers are reconstructed", async () => {
    const options = { target: { flops: "70%" as const }, maxDrop: 0.2, searchBatches: 4 };
    const fitted = await compress(await load(), { ...quick("fitted.pt"), ...options, judgeBy: "interval" });
    expect(fitted.interval?.high).toBeLessThanOrEqual(0.2);
    const plain = await compress(await load(), { ...quick("plain.pt"), ...options, reconstruct: false });
    // Candidates are rated as reconstructed, so another one may be chosen; both are within the bound.
    for (const { costs, fullCosts } of [fitted, plain])
      expect(costs.flops as number).toBeLessThanOrEqual(0.7 * (fullCosts.flops as number));
    expect(fitted.steps[0]?.untrained).toBeGreaterThan(plain.steps[0]?.untrained as number);
    // A drop within the bound, of an interval that reaches beyond it.
    const { drop, interval } = plain;
    const between = (Math.max(0, drop) + (interval?.high as number)) / 2;
    const sure = compress(await load(), {
      ...quick("sure.pt"),
      ...options,
      reconstruct: false,
      maxDrop: between,
      judgeBy: "interval",
    });
    const { message } = await expectCode("ERR_DROP_UNREACHABLE", () => sure);
    expect(message).toContain("allowed");
  });

  it("learns from the full model without labels, and says so", async () => {
    const result = await compress(await load(), {
      ...quick("unlabelled.pt"),
      data: unlabelled,
      holdout: 0.2,
      loss: null,
      maxDrop: 0.2,
    });
    expect(result).toMatchObject({ rating: "agreement", labelled: false, fullScore: 1 });
    expect(result.drop).toBeLessThanOrEqual(0.2);
    expect(result.costs.flops).toBeLessThan(result.fullCosts.flops as number);
  });
});

describe("bad input", { timeout: 300_000 }, () => {
  it("has a code and a remedy", async () => {
    const module = await load();
    const one = TensorDataLoader.fromTensors([dummyInput(), Tensor.from(BigInt64Array.of(1n))], {
      batchSize: 1,
    });
    const cases: [string, Partial<CompressOptions>][] = [
      ["ERR_CONFIG_VALUE", {}],
      ["ERR_CONFIG_VALUE", { maxDrop: 0.1, minScore: 0.9 }],
      ["ERR_CONFIG_VALUE", { target: {} }],
      ["ERR_CONFIG_VALUE", { target: { flops: "50%" }, heal: 2 }],
      ["ERR_UNKNOWN_CONSTRAINT", { target: { flop: "50%" } as never }],
      ["ERR_HOLDOUT", { target: { flops: "50%" }, data: one, holdout: 0.5 }],
      ["ERR_HOLDOUT", { target: { flops: "50%" }, data: () => train, holdout: 0.5 }],
      ["ERR_TARGET_MET", { target: { flops: "100%" } }],
      ["ERR_DROP_UNREACHABLE", { minScore: 0.9999 }],
      ["ERR_FILE_WRITE", { target: { flops: "50%" }, output: path.join(fixtures, "digits.npz", "x.pt") }],
    ];
    for (const [code, options] of cases) {
      const { message } = await expectCode(code, () => compress(module, { ...quick("bad.pt"), ...options }));
      expect(message.length, code).toBeGreaterThan(30);
    }
    expect(existsSync(path.join(folder, "bad.pt"))).toBe(false);
  });

  it("of training that meets NaN ends with what is kept", async () => {
    const { message } = await expectCode("ERR_DROP_UNREACHABLE", async () =>
      compress(await load(), {
        ...quick("nan.pt"),
        target: { flops: "60%" },
        finetune: { learningRate: 1e30 },
      }),
    );
    expect(message).toMatch(/not finite|nearest is kept/);
  });
});
