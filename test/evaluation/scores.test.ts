/** Built-in scores against PyTorch's own functions, natively and through JavaScript loaders. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DataSource } from "../../lib/data/data-source";
import { TensorDataLoader } from "../../lib/data/tensor-loader";
import { runForwardLoop } from "../../lib/evaluation/forward-loop";
import {
  crossEntropy,
  customLoss,
  klDivergence,
  meanSquaredError,
  topKAccuracy,
} from "../../lib/evaluation/scores";
import type { ScoreFunction, SearchModel } from "../../lib/evaluation/types";
import { Module } from "../../lib/model/module";
import { Tensor } from "../../lib/model/tensor";
import type { ProgressEvent } from "../../lib/util/progress";
import { FakeModel } from "../contract/doubles";
import { runPython } from "../data/python";

const fixtures = path.join(__dirname, "../fixtures");
const code = (value: string): Error => expect.objectContaining({ code: value }) as Error;

interface Expected {
  top1: number;
  top3: number;
  top1TwoBatches: number;
  crossEntropy: number;
  mse: number;
  kl: number;
}

let model: Module;
let teacher: Module;
let loader: TensorDataLoader;
let oneHot: TensorDataLoader;
let expected: Expected;

/** The images, and their labels as one-hot rows, for a regression's score. */
async function imagesAndOneHot(): Promise<Tensor[]> {
  const file = path.join(fixtures, "digits.npz");
  const all = await TensorDataLoader.fromNpz(file, { batchSize: 500, keys: ["test_images", "test_labels"] });
  const [batch] = [...all] as [Record<string, Tensor>];
  const labels = batch.test_labels!.data() as BigInt64Array;
  const hot = new Float32Array(labels.length * 10);
  labels.forEach((label, i) => {
    hot[i * 10 + Number(label)] = 1;
  });
  return [batch.test_images!, Tensor.from(hot, [labels.length, 10])];
}

beforeAll(async () => {
  model = await Module.load(path.join(fixtures, "digits_cnn.pt"));
  teacher = await Module.load(path.join(fixtures, "digits_resnet.pt"));
  const options = { batchSize: 64, keys: ["test_images", "test_labels"] };
  loader = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), options);
  oneHot = TensorDataLoader.fromTensors(await imagesAndOneHot(), { batchSize: 64 });
  expected = runPython<Expected>(
    `
import sys, json, torch, numpy as np
import torch.nn.functional as F
folder = sys.argv[1]
d = np.load(folder + "/digits.npz")
x, y = torch.from_numpy(d["test_images"]), torch.from_numpy(d["test_labels"]).long()
m = torch.jit.load(folder + "/digits_cnn.pt").eval(); t = torch.jit.load(folder + "/digits_resnet.pt").eval()
with torch.no_grad(): out, full = m(x).double(), t(x).double()
zeros = torch.zeros_like(out)
print(json.dumps({
  "top1": (out.argmax(1) == y).double().mean().item(),
  "top3": (out.topk(3, 1).indices == y[:, None]).any(1).double().mean().item(),
  "top1TwoBatches": (out[:128].argmax(1) == y[:128]).double().mean().item(),
  "crossEntropy": F.cross_entropy(out, y).item(),
  "mse": F.mse_loss(out, F.one_hot(y, 10).double()).item(),
  "kl": F.kl_div(F.log_softmax(out, 1), F.log_softmax(full, 1), reduction="batchmean", log_target=True).item(),
}))
`,
    fixtures,
  );
}, 60_000);

afterAll(() => {
  model.close();
  teacher.close();
  loader.close();
});

/** The same batches by way of JavaScript: no native shortcut applies. */
const through = (source: TensorDataLoader): DataSource => ({
  [Symbol.iterator]: () => source[Symbol.iterator](),
});

describe("built-in scores equal PyTorch's", () => {
  const cases: [
    string,
    keyof Expected,
    (source: DataSource) => ScoreFunction,
    1 | -1,
    () => TensorDataLoader,
  ][] = [
    ["topKAccuracy", "top1", (source) => topKAccuracy(source), 1, () => loader],
    ["topKAccuracy k=3", "top3", (source) => topKAccuracy(source, { k: 3 }), 1, () => loader],
    [
      "topKAccuracy of two batches",
      "top1TwoBatches",
      (source) => topKAccuracy(source, { maxBatches: 2 }),
      1,
      () => loader,
    ],
    ["crossEntropy", "crossEntropy", (source) => crossEntropy(source), -1, () => loader],
    ["meanSquaredError", "mse", (source) => meanSquaredError(source), -1, () => oneHot],
    ["klDivergence", "kl", (source) => klDivergence(source, teacher), -1, () => loader],
  ];

  it.each(cases)("%s, natively and through JavaScript", async (_, key, make, sign, source) => {
    for (const data of [source(), through(source())]) {
      for (const training of [true, false]) {
        model.train(training);
        expect(sign * (await make(data)(model))).toBeCloseTo(expected[key], 5);
        expect(model.training).toBe(training);
      }
    }
  });

  it("customLoss weights batches by their samples", async () => {
    const loss = (output: Tensor, batch: { test_labels: Tensor }): number => {
      const logits = output.data() as Float32Array;
      const labels = batch.test_labels.data() as BigInt64Array;
      let sum = 0;
      labels.forEach((label, i) => {
        const row = Array.from(logits.subarray(i * 10, i * 10 + 10));
        sum += Math.log(row.reduce((total, z) => total + Math.exp(z), 0)) - row[Number(label)]!;
      });
      return sum / labels.length;
    };
    expect(-(await customLoss(loader, loss)(model))).toBeCloseTo(expected.crossEntropy, 4);
    await expect(customLoss(loader, (() => "low") as never)(model)).rejects.toThrow(code("ERR_SCORE_NAN"));
    await expect(customLoss([], loss)(model)).rejects.toThrow(code("ERR_EMPTY_LOADER"));
  });

  it("agreeing with itself, a model has no divergence", async () => {
    expect(await klDivergence(loader, model)(model)).toBeCloseTo(0, 10);
  });

  it("take inputs and targets by name, position or function", async () => {
    const options = [
      { input: "test_images", target: "test_labels" },
      { input: 0, target: 1 },
      {
        collectFunc: (batch: { test_images: Tensor }) => batch.test_images,
        targetFunc: (batch: { test_labels: Tensor }) => batch.test_labels,
      },
    ];
    for (const option of options)
      expect(await topKAccuracy(loader, option)(model)).toBeCloseTo(expected.top1, 10);
    await expect(topKAccuracy(loader, { target: "labels" })(model)).rejects.toThrow(code("ERR_BATCH"));
    await expect(topKAccuracy(through(loader), { target: 2 })(model)).rejects.toThrow(code("ERR_BATCH"));
    await expect(topKAccuracy([[1, 2]], {})(model)).rejects.toMatchObject({ code: "ERR_BATCH" });
  });

  it("report progress and stop when aborted", async () => {
    for (const source of [loader, through(loader)]) {
      const events: ProgressEvent[] = [];
      await topKAccuracy(source)(model, { onProgress: (event) => events.push(event) });
      expect(events.length).toBeGreaterThan(0);
      expect(events.every(({ phase }) => phase === "score")).toBe(true);
      expect(events.at(-1)?.done).toBe(8);

      const controller = new AbortController();
      const stopped = topKAccuracy(source)(model, { signal: controller.signal });
      controller.abort();
      await expect(stopped).rejects.toThrow(code("ERR_ABORTED"));
      await expect(topKAccuracy(source)(model, { signal: AbortSignal.abort() })).rejects.toThrow(
        code("ERR_ABORTED"),
      );
    }
  });

  it("refuse bad options, empty loaders, closed models, and models without a native side", async () => {
    expect(() => topKAccuracy(loader, { k: 0 })).toThrow(code("ERR_ARGUMENT"));
    await expect(topKAccuracy([])(model)).rejects.toThrow(code("ERR_EMPTY_LOADER"));
    const none = TensorDataLoader.fromTensors([
      Tensor.from(new Float32Array(0), [0, 1, 8, 8]),
      Tensor.from(new BigInt64Array(0)),
    ]);
    await expect(topKAccuracy(none)(model)).rejects.toThrow(code("ERR_EMPTY_LOADER"));
    await expect(topKAccuracy(loader)(new FakeModel())).rejects.toThrow(code("ERR_MODEL_NOT_NATIVE"));
    const closed = await Module.load(path.join(fixtures, "digits_cnn.pt"));
    closed.close();
    await expect(topKAccuracy(loader)(closed)).rejects.toThrow(code("ERR_CLOSED"));
  });
});

describe("forward loops over modules", () => {
  it("run natively over a built-in loader, and in JavaScript over any other", async () => {
    const asModel: SearchModel = model;
    for (const source of [loader, through(loader)]) {
      const events: ProgressEvent[] = [];
      expect(await runForwardLoop(asModel, source, { onProgress: (event) => events.push(event) })).toBe(8);
      expect(events.at(-1)).toMatchObject({ phase: "forward", done: 8, total: source === loader ? 8 : null });
      expect(await runForwardLoop(asModel, source, { maxBatches: 3 })).toBe(3);
    }
  });

  it("update batch-norm statistics in training mode as a pass in PyTorch does", async () => {
    const bn = await Module.load(path.join(fixtures, "digits_resnet.pt"));
    bn.train();
    const mean = (): number[] =>
      Array.from(
        bn
          .namedBuffers()
          .find(({ name }) => name.endsWith("running_mean"))!
          .tensor.data() as Float32Array,
      );
    const before = mean();
    await runForwardLoop(bn, loader);
    const after = mean();
    expect(after).not.toEqual(before);
    const reference = runPython<number[]>(
      `
import sys, json, torch, numpy as np
d = np.load(sys.argv[1] + "/digits.npz"); x = torch.from_numpy(d["test_images"])
m = torch.jit.load(sys.argv[1] + "/digits_resnet.pt").train()
with torch.no_grad():
    for b in x.split(64): m(b)
print(json.dumps(next(v for k, v in m.named_buffers() if k.endswith("running_mean")).tolist()))
`,
      fixtures,
    );
    for (const [i, value] of after.entries()) expect(value).toBeCloseTo(reference[i]!, 5);
    bn.close();
  });

  it("close outputs after each batch, and batches that a built-in loader made", async () => {
    const outputs: Tensor[] = [];
    const batches: Record<string, Tensor>[] = [];
    await runForwardLoop(model, loader, {
      postProcess: (output, batch) => {
        outputs.push(output as Tensor);
        batches.push(batch as Record<string, Tensor>);
        expect(outputs.at(-1)?.closed).toBe(false);
      },
    });
    expect(outputs.map(({ closed }) => closed)).toEqual(new Array(8).fill(true));
    expect(batches.flatMap((batch) => Object.values(batch).map(({ closed }) => closed))).toEqual(
      new Array(16).fill(true),
    );
    const mine = [[Tensor.from(new Float32Array(64), [1, 1, 8, 8])]];
    await runForwardLoop(model, mine);
    expect(mine[0]?.[0]?.closed).toBe(false);
  });
});
