/** Results of every mode, and models of several kinds, as exported programs that Python judges. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, type SearchSpace, search } from "../../lib";
import { at, bitsOf, caseOf, expectClose, makePrograms, scratch } from "../support/exported";
import { describeRuns, passed, type Run, verdictsOf } from "../support/exported-verdict";

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(
  () => makePrograms(["cnn_batch", "cnn_train", "records", "attend", "enlarging", "vit", "resnet18"]),
  600_000,
);

const written: string[] = [];

/** Saves as NAME.pt2, reads it again, and compares it with the module; Python's verdict comes last. */
async function write(name: string, module: Module, runs: Run[], options = {}): Promise<void> {
  await module.save(at(`${name}.pt2`), options);
  await module.save(at(`${name}_reference.pt`));
  using again = await Module.load(at(`${name}.pt2`));
  expect(again.training).toBe(module.training);
  for (const { args, kwargs } of runs) {
    using own = await Module.load(at(`${name}_reference.pt`));
    if (module.training) own.train();
    expectClose(await again.forwardWith(args, kwargs), await own.forwardWith(args, kwargs), 1e-5);
  }
  const file = module.training ? `${name}.pt2` : `${name}_reference.pt`;
  await describeRuns(name, at(file), runs);
  written.push(name);
}

/** The inputs of a case as `convert` takes them. */
const dummyOf = ({ args, kwargs }: Run) => [...args, kwargs] as never;

async function runsOf(name: string): Promise<[Run, ...Run[]]> {
  const { sets } = await caseOf(name);
  return sets.map(({ args, kwargs }) => ({ args, kwargs })) as [Run, ...Run[]];
}

describe("exported programs of results", () => {
  it.each(["sparse_magnitude", "sparsegpt"] as const)(
    "with masks, of %s",
    { timeout: 120_000 },
    async (mode) => {
      for (const name of ["cnn_batch", "vit"]) {
        const runs = await runsOf(name);
        using module = await Module.load(at(`${name}.pt2`));
        const space = await convert(module, mode, dummyOf(runs[0]), { pattern: "2:4" });
        const dataLoader = runs.map(({ args }) => args);
        const { subnet } = await search(
          space as never,
          {},
          dummyOf(runs[0]),
          mode === "sparsegpt" ? { dataLoader } : {},
        );
        await write(`${name}_${mode}`, subnet as Module, runs);
      }
    },
  );

  const FORMATS = {
    int8: { weight: { bits: 8, granularity: "channel" }, activation: { bits: 8, symmetric: false } },
    tensor: { weight: { bits: 6, granularity: "tensor" }, activation: { bits: 8, symmetric: true } },
    block: { weight: { bits: 4, granularity: "block", blockSize: 8 } },
    float8: { weight: { type: "e4m3" }, activation: { type: "e5m2" } },
  } as const;
  it.each(Object.keys(FORMATS))("with fake quantization: %s", { timeout: 120_000 }, async (format) => {
    for (const name of ["cnn_batch", "vit"]) {
      const runs = await runsOf(name);
      using module = await Module.load(at(`${name}.pt2`));
      using space = await convert(module, "auto_quantize", dummyOf(runs[0]), { formats: FORMATS });
      await space.calibrate(runs.map(({ args }) => args));
      space.select(space.uniform(format));
      using subnet = await space.export();
      await write(`${name}_${format}`, subnet, runs);
    }
  });

  it("without blocks", { timeout: 120_000 }, async () => {
    for (const file of ["resnet18.pt2", "resnet18.pt", "vit.pt2", "vit_fused.pt"]) {
      const runs = await runsOf(file.startsWith("vit") ? "vit" : "resnet18");
      using module = await Module.load(at(file));
      using space = (await convert(module, "fastnas", dummyOf(runs[0]))) as SearchSpace;
      const depths = space.hyperparameters.filter(({ kind }) => kind === "depth");
      expect(depths.length).toBeGreaterThan(1);
      const left = Object.fromEntries(depths.map(({ name, choices }) => [name, choices[0] as number]));
      space.select({ ...space.fullConfig, ...left });
      using subnet = await space.export();
      await write(`${file.replace(".", "_")}_depth`, subnet, runs);
    }
  });

  it("in training mode", { timeout: 120_000 }, async () => {
    const runs = await runsOf("cnn_train");
    using module = await Module.load(at("cnn_train.pt2"));
    expect(module.training).toBe(true);
    using space = (await convert(module, "fastnas", dummyOf(runs[0]), { channelDivisor: 2 })) as SearchSpace;
    space.select(space.smallestConfig);
    using subnet = await space.export();
    subnet.train();
    await subnet.save(at("train_small.pt2"));
    using again = await Module.load(at("train_small.pt2"));
    expect(again.training).toBe(true);
    subnet.eval();
    await write("train_small_eval", subnet, runs);
  });
});

describe("exported programs of models", () => {
  it.each(["records", "attend", "enlarging", "vit"])(
    "whole and narrowed: %s",
    { timeout: 120_000 },
    async (name) => {
      const { sets } = await caseOf(name);
      using module = await Module.load(at(`${name}.pt2`));
      for (const { args, kwargs, outputs } of sets)
        expect(bitsOf(await module.forwardWith(args, kwargs))).toEqual(bitsOf(outputs[0]));
      await write(`${name}_whole`, module, sets);
      using space = (await convert(module, "fastnas", dummyOf(sets[0] as Run), {
        channelDivisor: 2,
      })) as SearchSpace;
      // With its blocks: without them, the smallest "attend" has no parameter left.
      const blocks = space.hyperparameters.filter(({ kind }) => kind === "depth");
      space.select({ ...space.smallestConfig, ...Object.fromEntries(blocks.map((each) => [each.name, 1])) });
      using subnet = await space.export();
      await write(`${name}_small`, subnet, sets);
    },
  );

  it("that come from a trace with fused attention", { timeout: 120_000 }, async () => {
    const runs = await runsOf("vit");
    using module = await Module.load(at("vit_fused.pt"));
    await write("vit_fused_whole", module, runs, { input: runs[0].args });
  });
});

describe("Python", () => {
  it("runs, decomposes, trains and converts all of them", { timeout: 900_000 }, async () => {
    expect(written.length).toBeGreaterThan(20);
    const verdicts = await verdictsOf(written);
    for (const name of written) expect(verdicts[name]?.steps, name).toEqual(passed(verdicts[name] as never));
  });
});
