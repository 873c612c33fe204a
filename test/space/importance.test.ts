/** Importances of channels; what is expected comes from PyTorch (scripts/fixtures/importance_oracle.py). */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type ConvertConfig,
  convert,
  Module,
  type ProgressEvent,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
  type TorchSearchError,
} from "../../lib";
import { IMPORTANCES, type Importance } from "../../lib/entries/space";
import { addon } from "../../lib/native/addon";
import { callNative } from "../../lib/native/call";
import { importanceNeeds } from "../../lib/space/importance";
import { runPython } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "importance.json"), "utf8")) as {
  batchSize: number;
  batches: number;
  /** Samples, one in a batch, that `obd` sees. */
  singles: number;
  /** By model, hyperparameter and importance: scores in the order of the file's channels. */
  models: Record<string, Record<string, Record<string, number[]>>>;
};
const MODELS = Object.keys(oracle.models);
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

const hard = (
  JSON.parse(readFileSync(path.join(fixtures, "hard", "index.json"), "utf8")) as {
    cases: Record<string, { files: Record<string, string>; inputs: Described[] }>;
  }
).cases;

/** Those whose inputs are plain tensors. */
const tensorCases = Object.keys(hard).filter((name) => hard[name]?.inputs.every((input) => "data" in input));

interface Described {
  shape: number[];
  dtype: "float32" | "int64";
  data: (number | null)[];
}

let folder: string;
let train: TensorDataLoader;
let single: TensorDataLoader;
let oneHot: TensorDataLoader;
let images: Tensor;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-importance-"));
  const file = path.join(fixtures, "digits.npz");
  const { batchSize } = oracle;
  train = await TensorDataLoader.fromNpz(file, { keys: ["train_images", "train_labels"], batchSize });
  single = await TensorDataLoader.fromNpz(file, { keys: ["train_images", "train_labels"], batchSize: 1 });
  const whole = await TensorDataLoader.fromNpz(file, {
    keys: ["train_images", "train_labels"],
    batchSize: oracle.batches * batchSize,
  });
  const [first] = [...whole] as Record<string, Tensor>[];
  images = first?.train_images as Tensor;
  const labels = numbersOf(first?.train_labels as Tensor);
  const rows = Float32Array.from(
    labels.flatMap((label) => Array.from({ length: 10 }, (_, k) => +(k === label))),
  );
  oneHot = TensorDataLoader.fromTensors([images, Tensor.from(rows, [labels.length, 10])], { batchSize });
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = (name: string) => Module.load(path.join(fixtures, `${name}.pt`));

async function outputOf(model: Module | SearchSpace): Promise<number[]> {
  const output = (await model.forward(images)) as Tensor;
  return numbersOf(output).map(Number);
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

/** All the numbers of an output, however nested. */
function flat(output: unknown): number[] {
  if (output instanceof Tensor) return numbersOf(output).map(Number);
  if (typeof output === "object" && output !== null) return Object.values(output).flatMap(flat);
  return typeof output === "number" ? [output] : [];
}

/** What an importance needs beside its name. */
function dataOf(importance: Importance): ConvertConfig {
  const learns = importanceNeeds(importance).data;
  return learns ? { importance, data: train, maxBatches: 2 } : { importance };
}

describe("scores against PyTorch", { timeout: 240_000 }, () => {
  for (const model of MODELS) {
    it(`gives those of ${model}`, async () => {
      const module = await load(model);
      const native = await callNative((call) =>
        addon().SearchSpace.convert(module.native, [dummyInput().native], {}, { channelDivisor: 1 }, call),
      );
      const names = native.hyperparameters().map(({ name }) => name);
      for (const [hyperparameter, expected] of Object.entries(oracle.models[model] ?? {})) {
        expect(names).toContain(hyperparameter);
        for (const [importance, wanted] of Object.entries(expected)) {
          const mse = importance === "taylor mse";
          const measure = new (addon().Importance)(
            mse ? "taylor" : importance,
            mse ? { loss: "meanSquaredError" } : {},
          );
          if (measure.needsData) {
            const alone = importance === "obd";
            const data = mse ? oneHot : alone ? single : train;
            const maxBatches = alone ? oracle.singles : oracle.batches;
            const run = { inputs: [0], target: measure.needsTarget ? 1 : -1, maxBatches };
            await callNative((call) => native.measureAll(measure, data.native, run, call));
          }
          const all = await callNative((call) => native.scores(measure, false, call));
          const scores = all[names.indexOf(hyperparameter)] as number[];
          const largest = Math.max(...wanted);
          // The weights' own sums are exact to the oracle's digits; what was computed in float32 is not.
          const tolerance = measure.needsData ? 1e-4 : 1e-6;
          expect(farthest(scores, wanted) / largest, `${importance} of ${hyperparameter}`).toBeLessThan(
            tolerance,
          );
        }
      }
      native.close();
      module.close();
    });
  }
});

describe("orders", { timeout: 240_000 }, () => {
  it.each(MODELS)("leave the output of %s as it is, whatever the importance", async (model) => {
    for (const importance of IMPORTANCES) {
      const module = await load(model);
      const before = await outputOf(module);
      const space = await convert(module, "fastnas", dummyInput(), dataOf(importance));
      expect(farthest(await outputOf(space), before), importance).toBeLessThan(1e-4);
      expect(farthest(await outputOf(module), before), importance).toBeLessThan(1e-4);
      module.close();
    }
  });

  it("leave the output as it is for any seed, also one order after the other", async () => {
    const modules = await Promise.all(MODELS.map(load));
    const before = await Promise.all(modules.map(outputOf));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 2 }), fc.maxSafeNat(), async (which, seed) => {
        const module = modules[which] as Module;
        const space = await convert(module, "fastnas", dummyInput(), { importance: "random", seed });
        expect(farthest(await outputOf(module), before[which] as number[])).toBeLessThan(1e-3);
        space.close();
      }),
      { numRuns: 15 },
    );
    for (const module of modules) module.close();
  });

  it.each(tensorCases)("leave the output of %s as it is", async (name) => {
    for (const file of Object.values(hard[name]?.files ?? {})) {
      const module = await Module.load(path.join(fixtures, "hard", file));
      module.eval();
      const inputs = hard[name]?.inputs.map(({ shape, dtype, data }) =>
        Tensor.from(
          dtype === "int64"
            ? data.map((value) => BigInt(value as number))
            : data.map((value) => value ?? Number.NaN),
          shape,
          { dtype },
        ),
      ) as Tensor[];
      const before = flat(await module.forward(...inputs));
      try {
        await convert(module, "fastnas", inputs, { importance: "random", seed: 1 });
      } catch (error) {
        const { code } = error as TorchSearchError;
        expect([
          "ERR_DATA_DEPENDENT",
          "ERR_NO_PARAMETERS",
          "ERR_UNSUPPORTED_GRAPH",
          "ERR_UNKNOWN_OPERATOR",
        ]).toContain(code);
      }
      // NaN and infinity stay where they are.
      const after = flat(await module.forward(...inputs));
      expect(after.map(Number.isFinite)).toEqual(before.map(Number.isFinite));
      expect(farthest(after.filter(Number.isFinite), before.filter(Number.isFinite)), file).toBeLessThan(
        1e-4,
      );
      module.close();
    }
  });

  it("put the highest score first, so that narrower subnets keep what matters", async () => {
    const module = await load("digits_resnet");
    const space = await convert(module, "fastnas", dummyInput(), dataOf("taylor"));
    const measure = new (addon().Importance)("l1");
    const before = await callNative((call) => space.native.scores(measure, false, call));
    await callNative((call) => space.native.reorder(measure, call));
    const after = await callNative((call) => space.native.scores(measure, false, call));
    for (const [i, scores] of after.entries()) {
      const sorted = [...(before[i] as number[])].sort((a, b) => b - a);
      expect(farthest(scores, sorted)).toBeLessThan(1e-9);
    }
    module.close();
  });
});

describe("fingerprints", { timeout: 240_000 }, () => {
  async function fingerprint(config: ConvertConfig): Promise<string> {
    const module = await load("digits_cnn");
    const space = await convert(module, "fastnas", dummyInput(), config);
    const hash = await space.fingerprint();
    module.close();
    return hash;
  }

  it("tell importances and seeds apart, and give the same for the same", async () => {
    const hashes = await Promise.all(IMPORTANCES.map((importance) => fingerprint(dataOf(importance))));
    const seeded = await fingerprint({ importance: "random", seed: 7 });
    expect(new Set([...hashes, seeded]).size).toBe(IMPORTANCES.length + 1);
    for (const [i, importance] of IMPORTANCES.entries()) {
      expect(await fingerprint(dataOf(importance))).toBe(hashes[i]);
    }
    expect(await fingerprint({ importance: "random", seed: 7 })).toBe(seeded);
    // A seed that nothing depends on is no part of it.
    expect(await fingerprint({ importance: "l1", seed: 7 })).toBe(hashes[0]);
  });

  it("are those of the order where it was learnt from data, however the batches came", async () => {
    const native = await fingerprint({ importance: "taylor", data: train, maxBatches: 2 });
    async function* batches() {
      for (const batch of train) yield batch;
    }
    const collectFunc = (batch: { train_images: Tensor }) => [batch.train_images];
    const targetFunc = (batch: { train_labels: Tensor }) => batch.train_labels;
    const generated = { importance: "taylor", data: batches, maxBatches: 2 } as const;
    expect(await fingerprint(generated)).toBe(native);
    expect(await fingerprint({ ...generated, collectFunc, targetFunc })).toBe(native);
    expect(await fingerprint({ ...generated, loss: "crossEntropy" })).toBe(native);
    expect(await fingerprint({ ...generated, maxBatches: 1 })).not.toBe(native);
    expect(await fingerprint({ ...generated, data: oneHot, loss: "meanSquaredError" })).not.toBe(native);
  });
});

describe("learning from data", { timeout: 240_000 }, () => {
  it("reports every batch, stops between two, and leaves the module as it was", async () => {
    const module = await load("digits_resnet");
    const before = await module.fingerprint();
    const abort = new AbortController();
    let walked = 0;
    const data = function* () {
      for (const batch of train) {
        walked += 1;
        if (walked === 3) abort.abort();
        yield batch;
      }
    };
    const events: ProgressEvent[] = [];
    const onProgress = (event: ProgressEvent) => events.push(event);
    for (const importance of ["taylor", "activation", "obd", "obs"] as const) {
      walked = 0;
      await convert(module, "fastnas", dummyInput(), { importance, data: train, maxBatches: 2, onProgress });
      expect(events.filter(({ phase }) => phase === "importance").at(-1)).toMatchObject({
        done: 2,
        total: 2,
      });
    }
    const reordered = await module.fingerprint();
    expect(reordered).not.toBe(before);
    await expectCode("ERR_ABORTED", () =>
      convert(module, "fastnas", dummyInput(), { importance: "taylor", data, signal: abort.signal }),
    );
    expect(walked).toBe(3);
    expect(await module.fingerprint()).toBe(reordered);
    module.close();
  });

  it("says what is missing, not used, or wrong", async () => {
    const module = await load("digits_resnet");
    const before = await module.fingerprint();
    const attempt = (config: object) => convert(module, "fastnas", dummyInput(), config as ConvertConfig);
    const config = async (value: object) =>
      (await expectCode("ERR_CONFIG_VALUE", () => attempt(value))).message;
    expect(await config({ importance: "taylor" })).toContain("give some as data");
    expect(await config({ importance: "activation" })).toContain("TensorDataLoader");
    expect(await config({ importance: "l1", data: train })).toContain("no use for data");
    expect(await config({ maxBatches: 3 })).toContain("no use for maxBatches");
    expect(await config({ importance: "activation", data: train, loss: "meanSquaredError" })).toContain(
      '"taylor"',
    );
    expect(await config({ importance: "taylor", data: train, loss: () => 0 })).toContain("crossEntropy");
    expect(await config({ importance: "random", seed: -1 })).toContain("at least 0");
    expect(await config({ importance: "taylor", data: 5 })).toContain("iterable");
    for (const importance of ["taylor", "activation"]) {
      await expectCode("ERR_EMPTY_LOADER", () => attempt({ importance, data: [] }));
      await expectCode("ERR_INPUT", () => attempt({ importance, data: [["text", images]] }));
    }
    await expectCode("ERR_BATCH", () => attempt({ importance: "taylor", data: [[images]] }));
    const unlabelled = TensorDataLoader.fromTensors([images]);
    expect(
      (await expectCode("ERR_BATCH", () => attempt({ importance: "taylor", data: unlabelled }))).message,
    ).toContain("second element");
    await expectCode("ERR_SCORE_INPUT", () => attempt({ importance: "taylor", data: oneHot }));
    const nan = Tensor.from(new Float32Array(64).fill(Number.NaN), [1, 1, 8, 8]);
    const zero = Tensor.from(new BigInt64Array(1), [1]);
    for (const importance of ["taylor", "activation"]) {
      const { message } = await expectCode("ERR_IMPORTANCE_NAN", () =>
        attempt({ importance, data: [[nan, zero]] }),
      );
      expect(message).toContain("not a finite number");
    }
    expect(await module.fingerprint()).toBe(before);
    module.close();
  });

  it("names the weight that is not finite", async () => {
    const file = path.join(folder, "nan.pt");
    runPython(
      `import sys, torch
m = torch.jit.load(sys.argv[1])
dict(m.named_parameters())["layer1.0.conv1.weight"].data[3, 2, 0, 0] = float("nan")
m.save(sys.argv[2])`,
      path.join(fixtures, "digits_resnet.pt"),
      file,
    );
    const module = await Module.load(file);
    const { message } = await expectCode("ERR_IMPORTANCE_NAN", () =>
      convert(module, "fastnas", dummyInput()),
    );
    expect(message).toContain("layer1.0.conv1.weight");
    module.close();
  });

  it("ranks float16 and bfloat16 models", async () => {
    for (const dtype of ["float16", "bfloat16"] as const) {
      const file = path.join(folder, `${dtype}.pt`);
      runPython(
        "import sys, torch; torch.jit.load(sys.argv[1]).to(getattr(torch, sys.argv[3])).save(sys.argv[2])",
        path.join(fixtures, "digits_resnet.pt"),
        file,
        dtype,
      );
      const samples = 8; // float16 convolutions are slow on CPUs
      const half = Tensor.from(
        numbersOf(images)
          .slice(0, samples * 64)
          .map(Number),
        [samples, 1, 8, 8],
        { dtype },
      );
      const data = [[half, Tensor.from(new BigInt64Array(samples).fill(3n), [samples])]];
      for (const importance of IMPORTANCES) {
        const module = await Module.load(file);
        const before = numbersOf((await module.forward(half)) as Tensor).map(Number);
        const learns = importanceNeeds(importance).data;
        const space = await convert(
          module,
          "fastnas",
          Tensor.from(new Array(64).fill(0), [1, 1, 8, 8], { dtype }),
          {
            importance,
            ...(learns ? { data } : {}),
          },
        );
        const after = numbersOf((await space.forward(half)) as Tensor).map(Number);
        expect(farthest(after, before), `${importance} ${dtype}`).toBeLessThan(
          dtype === "float16" ? 0.05 : 0.3,
        );
        module.close();
      }
    }
  });
});
