import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, Tensor } from "../../lib";
import { at, bitsOf, caseOf, firstOf, makePrograms, scratch } from "../support/exported";
import { expectCode } from "../support/tensors";

const LIKE_PYTHON = [
  "cnn",
  "cnn_batch",
  "block",
  "block_static",
  "mutating",
  "keywords",
  "nested",
  "choice",
  "sizes",
  "no_grad",
  "truths",
  "views",
  "half",
  "bfloat16",
  "lstm",
  "encoder",
  "resnet18",
  "mobilenet_v2",
];

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(() => makePrograms([...LIKE_PYTHON, "cnn_train"]), 600_000);

describe("Module.load of exported programs", () => {
  it.each(LIKE_PYTHON)("computes what ep.module() does, bit by bit: %s", async (name) => {
    const { sets } = await caseOf(name);
    for (const { args, kwargs, outputs } of sets) {
      using module = await Module.load(at(`${name}.pt2`));
      expect(module.training).toBe(false);
      expect(outputs.length).toBeGreaterThan(0);
      for (const [run, output] of outputs.entries())
        expect(bitsOf(await module.forwardWith(args, kwargs)), `run ${run}`).toEqual(bitsOf(output));
    }
  });

  it("computes the same when it is saved as TorchScript", async () => {
    for (const name of ["cnn_batch", "block", "keywords", "nested", "choice", "sizes", "resnet18"]) {
      const { args, kwargs, outputs } = await firstOf(name);
      using module = await Module.load(at(`${name}.pt2`));
      await module.save(at("saved.pt"));
      using saved = await Module.load(at("saved.pt"));
      expect(bitsOf(await saved.forwardWith(args, kwargs)), name).toEqual(bitsOf(outputs[0]));
    }
  });

  it("names its tensors as the source model does", async () => {
    for (const name of ["cnn", "block", "mobilenet_v2"]) {
      const { weights } = await caseOf(name);
      using module = await Module.load(at(`${name}.pt2`));
      const names = [...module.namedParameters(), ...module.namedBuffers()].map((item) => item.name);
      // Python's state dict has tied weights twice, and no buffers that are not saved.
      const own = names.filter((each) => each !== "ids").sort();
      expect(own).toEqual(weights.filter((each) => each !== "head.weight"));
    }
  });

  it("switches batch norm and dropout, in whatever mode it was exported", async () => {
    using exported = await Module.load(at("cnn_train.pt2"));
    expect(exported.training).toBe(true);
    const { args } = await firstOf("cnn_train");
    exported.eval();
    const settled = bitsOf(await exported.forward(...args));
    expect(bitsOf(await exported.forward(...args))).toEqual(settled);
    const buffers = () => new Map(exported.namedBuffers().map(({ name, tensor }) => [name, bitsOf(tensor)]));
    const before = buffers();
    expect(before.get("body.1.num_batches_tracked")).toBeDefined();
    exported.train();
    await exported.forward(...args);
    const after = buffers();
    for (const buffer of before.keys()) expect(after.get(buffer), buffer).not.toEqual(before.get(buffer));
    const counter = exported.namedBuffers().find(({ name }) => name === "body.1.num_batches_tracked");
    expect(counter?.tensor.item()).toBe(1n);

    using evaluated = await Module.load(at("cnn.pt2"));
    const { args: others } = await firstOf("cnn");
    const first = bitsOf(await evaluated.forward(...others));
    evaluated.train();
    const dropped = bitsOf(await evaluated.forward(...others));
    expect(dropped).not.toEqual(first);
  });

  it("refuses sizes that the program was not exported for, and says what to do", async () => {
    using fixed = await Module.load(at("cnn.pt2"));
    const batch = await expectCode("ERR_INPUT", () =>
      fixed.forward(Tensor.from(new Float32Array(3 * 3 * 64), [3, 3, 8, 8])),
    );
    expect(batch.message).toMatch(/Dimension 0 of the input x is 3.*2 only.*Dim\.AUTO/s);
    using block = await Module.load(at("block.pt2"));
    const long = await expectCode("ERR_INPUT", () =>
      block.forward(Tensor.from(new BigInt64Array(2 * 25), [2, 25])),
    );
    expect(long.message).toMatch(/Dimension 1 of the input tokens is 25.*at most 24/s);
    await expectCode("ERR_INPUT", () => block.forward(Tensor.from(new Float32Array(4), [2, 2])));
    await expectCode("ERR_INPUT", () => block.forward(Tensor.from(new BigInt64Array(4), [4])));
    using keywords = await Module.load(at("keywords.pt2"));
    const { args, kwargs } = await firstOf("keywords");
    const constant = await expectCode("ERR_INPUT", () => keywords.forwardWith(args, { ...kwargs, scale: 2 }));
    expect(constant.message).toContain("scale");
    const space = await convert(fixed, "fastnas", Tensor.from(new Float32Array(2 * 192), [2, 3, 8, 8]));
    await expectCode("ERR_INPUT", () => space.forward(Tensor.from(new Float32Array(3 * 192), [3, 3, 8, 8])));
    space.close();
  });

  it("gives the inputs of the export", async () => {
    for (const name of ["cnn", "keywords", "nested", "block"]) {
      const { args, kwargs } = await firstOf(name);
      const sample = await Module.sampleInputs(at(`${name}.pt2`));
      expect(bitsOf(sample?.args), name).toEqual(bitsOf(args));
      expect(bitsOf(sample?.kwargs), name).toEqual(bitsOf(kwargs));
    }
    expect(await Module.sampleInputs(at("cnn.pt"))).toBeNull();
  });
});
