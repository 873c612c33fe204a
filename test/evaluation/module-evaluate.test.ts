import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { addon } from "../../lib/native/addon";
import { callNative } from "../../lib/native/call";
import type { NativeDataset } from "../../lib/native/types/dataset";
import type { NativeEvaluateOptions } from "../../lib/native/types/evaluate";
import type { NativeScoreKind } from "../../lib/native/types/score";
import { expected, fixture } from "../support/ioforms";
import { expectCode, tensorOf } from "../support/tensors";

let identity: Module;
let double: Module;
beforeAll(async () => {
  [identity, double] = (await Promise.all([
    Module.load(fixture("identity")),
    Module.load(fixture("double")),
  ])) as [Module, Module];
});
afterAll(() => {
  identity.close();
  double.close();
});

function datasetOf(tensors: Tensor[], batchSize: number, options: object = {}): NativeDataset {
  return addon().Dataset.fromTensors(
    tensors.map(({ native }) => native),
    { batchSize, ...options },
  );
}

async function evaluate(
  kind: NativeScoreKind,
  tensors: Tensor[],
  options: Partial<NativeEvaluateOptions> & { k?: number; batchSize?: number } = {},
): Promise<{ value: number; samples: number; batches: number }> {
  const { k, batchSize = 3, ...rest } = options;
  const score = new (addon().Score)(kind, { k });
  return callNative((call) =>
    addon().evaluate(
      identity.native,
      datasetOf(tensors, batchSize),
      score,
      { inputs: [0], target: 1, ...rest },
      call,
    ),
  );
}

describe("evaluate", () => {
  const { scores } = expected;
  const logits = () => tensorOf(scores.logits);
  const target = () => tensorOf(scores.target);

  it.each([1, 3, 10, 64])("gives PyTorch's values with batches of %i", async (batchSize) => {
    const pair = [logits(), target()];
    const top1 = await evaluate("topKAccuracy", pair, { batchSize });
    expect(top1).toMatchObject({ samples: 10, batches: Math.ceil(10 / batchSize) });
    expect(top1.value).toBe(scores.top1);
    expect((await evaluate("topKAccuracy", pair, { batchSize, k: 3 })).value).toBe(scores.top3);
    expect((await evaluate("crossEntropy", pair, { batchSize })).value).toBeCloseTo(scores.crossEntropy, 12);
    expect(
      (await evaluate("meanSquaredError", [logits(), tensorOf(scores.values)], { batchSize })).value,
    ).toBeCloseTo(scores.mse, 12);
    const teacher = double.native;
    const divergence = await evaluate("klDivergence", [logits()], { batchSize, target: -1, teacher });
    expect(divergence.value).toBeCloseTo(scores.klDivergence, 12);
    const dense = [tensorOf(scores.dense), tensorOf(scores.denseTarget)];
    expect((await evaluate("crossEntropy", dense, { batchSize })).value).toBeCloseTo(
      scores.denseCrossEntropy,
      12,
    );
  });

  it("gives the same when shuffled, and when batches come from JavaScript one by one", async () => {
    const shuffled = datasetOf([logits(), target()], 4, { shuffleSeed: 5 });
    const score = new (addon().Score)("crossEntropy");
    const result = await addon().evaluate(identity.native, shuffled, score, { inputs: [0], target: 1 }, {});
    expect(result.value).toBeCloseTo(scores.crossEntropy, 12);
    score.reset();
    for (let i = 0; i < shuffled.batches; i++) {
      const [x, y] = shuffled.batch(i);
      if (!x || !y) throw new Error("a batch has two tensors");
      await addon().scoreBatch(identity.native, [x], {}, y, score, {}, {});
    }
    expect(score.count()).toBe(10);
    expect(score.value()).toBeCloseTo(scores.crossEntropy, 12);
  });

  it("stops after maxBatches, and between batches when aborted, and tells its progress", async () => {
    expect(await evaluate("topKAccuracy", [logits(), target()], { maxBatches: 2 })).toMatchObject({
      samples: 6,
      batches: 2,
    });
    const many = datasetOf([Tensor.from(new Float32Array(200_000), [200_000, 1])], 1);
    const controller = new AbortController();
    let last = 0;
    const endless = callNative(
      (call) => addon().forwardAll(identity.native, many, { inputs: [0] }, call),
      controller.signal,
      ({ done, total }) => {
        expect(total).toBe(200_000);
        expect(done).toBeGreaterThan(last);
        last = done;
        if (done > 100) controller.abort();
      },
    );
    await expectCode("ERR_ABORTED", () => endless);
    expect(last).toBeGreaterThan(100);
    expect(last).toBeLessThan(200_000);
  });

  it("refuses data, targets and outputs that do not fit", async () => {
    const nan = Tensor.from([
      [Number.NaN, 1],
      [0, 1],
    ]);
    const two = Tensor.from([0n, 1n]);
    for (const kind of ["topKAccuracy", "crossEntropy"] as const) {
      await expectCode("ERR_SCORE_NAN", () => evaluate(kind, [nan, two]));
      await expectCode("ERR_SCORE_INPUT", () => evaluate(kind, [logits(), tensorOf(scores.values)]));
      await expectCode("ERR_SCORE_INPUT", () => evaluate(kind, [target(), target()]));
      await expectCode("ERR_SCORE_INPUT", () => evaluate(kind, [logits(), target()], { target: -1 }));
    }
    await expectCode("ERR_SCORE_NAN", () => evaluate("meanSquaredError", [nan, nan]));
    await expectCode("ERR_SCORE_INPUT", () => evaluate("meanSquaredError", [logits(), target()]));
    await expectCode("ERR_SCORE_INPUT", () => evaluate("topKAccuracy", [logits(), target()], { k: 6 }));
    await expectCode("ERR_SCORE_INPUT", () => evaluate("topKAccuracy", [logits(), target()], { k: 0 }));
    await expectCode("ERR_SCORE_INPUT", () =>
      evaluate("crossEntropy", [Tensor.from([[1, 2]]), Tensor.from([2n])]),
    );
    await expectCode("ERR_SCORE_INPUT", () => evaluate("klDivergence", [logits()], { target: -1 }));
    await expectCode("ERR_SCORE_INPUT", () => evaluate("f1" as never, [logits(), target()]));
    await expectCode("ERR_DATASET", () => evaluate("topKAccuracy", [logits(), target()], { target: 2 }));
    await expectCode("ERR_DATASET", () => evaluate("topKAccuracy", [logits(), target()], { inputs: [-1] }));
    await expectCode("ERR_EMPTY_LOADER", () =>
      evaluate("topKAccuracy", [logits(), target()], { maxBatches: 0 }),
    );
    await expectCode("ERR_EMPTY_LOADER", () =>
      evaluate("topKAccuracy", [Tensor.from([], [0, 5]), Tensor.from([], [0], { dtype: "int64" })]),
    );
    await expectCode("ERR_EMPTY_LOADER", () => new (addon().Score)("meanSquaredError").value());
  });

  it("ignores targets of -100 in the cross-entropy, as PyTorch does", async () => {
    const rows = Tensor.from([
      [1, 2],
      [3, 1],
    ]);
    const first = await evaluate("crossEntropy", [Tensor.from([[1, 2]]), Tensor.from([1n])]);
    const both = await evaluate("crossEntropy", [rows, Tensor.from([1n, -100n])]);
    expect(both.value).toBe(first.value);
    expect(first.value).toBeCloseTo(Math.log(1 + Math.exp(-1)), 12);
  });
});

describe("Dataset", () => {
  it("cuts batches without copying, or in a fixed random order", () => {
    const array = new Float32Array(10).map((_, i) => i);
    const plain = datasetOf([Tensor.from(array)], 4);
    expect([plain.samples, plain.batches]).toEqual([10, 3]);
    expect(plain.batch(2)[0]?.data().buffer).toBe(array.buffer);
    expect([...(plain.batch(2)[0]?.data() ?? [])]).toEqual([8, 9]);
    const order = (options: object) => {
      const dataset = datasetOf([Tensor.from(array)], 4, options);
      return Array.from({ length: dataset.batches }, (_, i) => [
        ...(dataset.batch(i)[0]?.data() ?? []),
      ]).flat();
    };
    expect(order({ shuffleSeed: 1 })).toEqual(order({ shuffleSeed: 1 }));
    expect(order({ shuffleSeed: 1 })).not.toEqual(order({ shuffleSeed: 2 }));
    expect(order({ shuffleSeed: 1 }).sort()).toEqual([...array]);
    expect(order({ dropLast: true })).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("keeps its tensors when their handles are closed, until it is closed", async () => {
    const tensor = Tensor.from([1, 2]);
    const dataset = datasetOf([tensor], 2);
    tensor.close();
    expect([...(dataset.batch(0)[0]?.data() ?? [])]).toEqual([1, 2]);
    dataset.close();
    expect(dataset.closed).toBe(true);
    await expectCode("ERR_CLOSED", () => dataset.batch(0));
  });

  it("refuses tensors that make no dataset", async () => {
    await expectCode("ERR_DATASET", () => datasetOf([], 1));
    await expectCode("ERR_DATASET", () => datasetOf([Tensor.from([1])], 0));
    await expectCode("ERR_DATASET", () => datasetOf([Tensor.from(1)], 1));
    await expectCode("ERR_DATASET", () => datasetOf([Tensor.from([1, 2]), Tensor.from([1])], 1));
    await expectCode("ERR_INPUT", () => addon().Dataset.fromTensors([{} as never], { batchSize: 1 }));
  });
});
