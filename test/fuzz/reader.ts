/** What the library does with a file of each kind. Runs in the fuzzer's child. */
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import {
  convert,
  ImageFolderLoader,
  LatencyTable,
  Module,
  profile,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { readJson, readSettings } from "../../lib/cli/options/settings";
import { writeReport } from "../../lib/entries/report";
import { digitsInput, smallSearch, smallTraining } from "../support/small-runs";
import { type BASES, fixtures } from "./kinds";

/** Runs a step under its name; what it threw is recorded, and ends the steps that need its result. */
export type Step = <Result>(name: string, run: () => Result | Promise<Result>) => Promise<Result | undefined>;

const TIME_LIMIT = 10_000;

function ones(shapes: string): Tensor[] {
  return shapes.split(";").map((text) => {
    const shape = text.split("x").map(Number);
    return Tensor.from(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);
  });
}

let space: Promise<SearchSpace> | undefined;
function spaceOfDigits(): Promise<SearchSpace> {
  space ??= Module.load(path.join(fixtures, "digits_cnn.pt")).then((module) =>
    convert(module, "fastnas", digitsInput()),
  );
  return space;
}

async function search(checkpoint: string, numIters: number): Promise<void> {
  await smallSearch(await spaceOfDigits(), checkpoint, numIters);
}

/** Writes the sound files that mutations begin with. */
export async function makeBases(folder: string): Promise<void> {
  const at = (name: (typeof BASES)[number]): string => path.join(folder, name);
  await search(at("search.safetensors"), 6);
  await smallTraining(fixtures, at("training.safetensors"), { untilSaved: true });
  const found = await spaceOfDigits();
  await (await found.measureLatency({ repeats: 1, warmup: 0 })).save(at("latency.json"));
  writeFileSync(at("config.json"), JSON.stringify(found.smallestConfig));
  await found.select(found.smallestConfig);
  const subnet = await found.export();
  await subnet.save(at("history.pt"));
  subnet.close();
}

async function readAll(loader: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
  let samples = 0;
  for await (const batch of loader) {
    for (const tensor of Object.values(batch as object))
      if (tensor instanceof Tensor) samples += tensor.data().length;
    if (samples > 1e6) return;
  }
}

/** By kind. */
export const READERS: Readonly<Record<string, (file: string, step: Step, shapes: string) => Promise<void>>> =
  {
    async model(file, step, shapes) {
      const module = await step("load", () => Module.load(file, { timeoutMs: TIME_LIMIT }));
      if (module === undefined) return;
      const inputs = ones(shapes);
      const example = inputs.length === 1 ? (inputs[0] as Tensor) : inputs;
      await step("forward", () => module.forward(...inputs));
      const signal = AbortSignal.timeout(TIME_LIMIT);
      await step("profile", () =>
        profile(module, example, { metrics: ["params", "flops", "memory"], signal }),
      );
      const found = await step("convert", () => convert(module, "fastnas", example, { signal }));
      await step("costs", () => found?.costs(found.smallestConfig));
      await step("parameters", () => module.namedParameters().map(({ tensor }) => tensor.data().length));
      await step("fingerprint", async () => (await module.fingerprint()).length);
      found?.close();
      module.close();
    },
    async exported(file, step) {
      const module = await step("load", () => Module.load(file, { timeoutMs: TIME_LIMIT }));
      const sample = await step("sample inputs", () => Module.sampleInputs(file));
      if (module === undefined) return;
      const x = Tensor.from(new Float32Array(12).fill(1), [3, 4]);
      const mask = Tensor.from([true, false, true]);
      const inputs = [x, { mask }];
      await step("forward", () => module.forward(x, { mask }));
      if (sample) await step("sample", () => module.forwardWith(sample.args, sample.kwargs));
      const signal = AbortSignal.timeout(TIME_LIMIT);
      await step("profile", () => profile(module, inputs, { metrics: ["params", "flops"], signal }));
      const found = await step("convert", () => convert(module, "fastnas", inputs, { signal }));
      await step("costs", () => found?.costs(found.smallestConfig));
      await step("parameters", () => module.namedParameters().map(({ tensor }) => tensor.data().length));
      await step("save", () => module.save(`${file}.pt`));
      rmSync(`${file}.pt`, { force: true });
      found?.close();
      module.close();
    },
    async history(file, step) {
      const module = await step("load", () => Module.load(file));
      if (module === undefined) return;
      // A damaged history counts as none, with a warning.
      await step("history", () => (module.history.length > 0 ? "ok" : "none"));
      const found = await step("convert", () => convert(module, "fastnas", digitsInput()));
      const subnet = await step("export", () => found?.export());
      await step("history again", () => subnet?.history);
      for (const made of [subnet, found, module]) made?.close();
    },
    npy: (file, step) => step("read", async () => readAll(await TensorDataLoader.fromNpy(file))),
    npz: (file, step) => step("read", async () => readAll(await TensorDataLoader.fromNpz(file))),
    safetensors: (file, step) =>
      step("read", async () => readAll(await TensorDataLoader.fromSafetensors(file))),
    async checkpoint(file, step) {
      await step("report", () => writeReport(file, `${file}.html`));
      await step("resume", () => search(file, 8));
    },
    training: (file, step) => step("resume", () => smallTraining(fixtures, file)),
    async latency(file, step) {
      const table = await step("load", () => LatencyTable.load(file));
      if (table === undefined) return;
      const found = await spaceOfDigits();
      await step("use", () => found.useLatencyTable(table));
      await step("cost", () => found.cost(found.smallestConfig, "latency"));
    },
    async settings(file, step) {
      await step("read", () => readSettings("search", file));
    },
    async config(file, step) {
      const config = await step("read", () => readJson(file));
      if (config === undefined) return;
      const found = await spaceOfDigits();
      await step("costs", () => found.costs(config as never));
      await step("select", () => found.select(config as never));
    },
    async image(file, step) {
      const loader = await step("open", () =>
        ImageFolderLoader.open(path.dirname(file), { resize: 48, crop: 48 }),
      );
      if (loader !== undefined) await step("read", () => readAll(loader));
      loader?.close();
    },
  };
