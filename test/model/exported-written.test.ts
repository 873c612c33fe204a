/** Exported programs that the library writes, as Python's own loader, verifier and autograd see them. */
import { rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, type SearchSpace, Tensor } from "../../lib";
import { at, bitsOf, caseOf, firstOf, makePrograms, scratch } from "../support/exported";
import { passed, type Run, verdictOf } from "../support/exported-verdict";
import { expectCode } from "../support/tensors";

const NARROWED = ["cnn", "cnn_batch", "block", "block_static", "encoder", "resnet18", "mobilenet_v2"];
const WHOLE = ["keywords", "half", "mutating", "lstm", "bfloat16", "truths", "no_grad"];

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(() => makePrograms([...NARROWED, ...WHOLE, "cnn_train", "sizes", "choice"]), 600_000);

function narrow(space: SearchSpace): void {
  space.select(space.smallestConfig);
}

describe("Module.save as .pt2", () => {
  it.each(NARROWED)(
    "writes a subnet that Python runs, decomposes and trains: %s",
    { timeout: 300_000 },
    async (name) => {
      const { sets } = await caseOf(name);
      const [first] = sets;
      using module = await Module.load(at(`${name}.pt2`));
      using space = (await convert(module, "fastnas", first?.args as never, {
        channelDivisor: 2,
      })) as SearchSpace;
      narrow(space);
      using subnet = await space.export();
      expect(subnet.bytes).toBeLessThan(module.bytes);
      await subnet.save(at(`${name}_small.pt2`));
      await subnet.save(at(`${name}_small.pt`));
      using scripted = await Module.load(at(`${name}_small.pt`));
      using again = await Module.load(at(`${name}_small.pt2`));
      for (const { args, kwargs } of sets)
        expect(bitsOf(await again.forwardWith(args, kwargs))).toEqual(
          bitsOf(await scripted.forwardWith(args, kwargs)),
        );
      expect(await Module.sampleInputs(at(`${name}_small.pt2`))).not.toBeNull();
      const verdict = await verdictOf(`${name}_small`, at(`${name}_small.pt`), sets);
      expect(verdict.steps).toEqual(passed(verdict));
      const own = [...subnet.namedParameters(), ...subnet.namedBuffers()].map((each) => each.name);
      expect(own.filter((each) => !verdict.names.includes(each)).filter((each) => each !== "ids")).toEqual(
        [],
      );
    },
  );

  it.each(WHOLE)("writes a whole program again: %s", { timeout: 300_000 }, async (name) => {
    const { sets } = await caseOf(name);
    {
      using module = await Module.load(at(`${name}.pt2`));
      await module.save(at(`${name}_again.pt2`));
      using again = await Module.load(at(`${name}_again.pt2`));
      const { args, kwargs } = sets[0] as Run;
      expect(bitsOf(await again.forwardWith(args, kwargs))).toEqual(
        bitsOf(await module.forwardWith(args, kwargs)),
      );
    }
    const verdict = await verdictOf(`${name}_again`, at(`${name}.pt2`), sets);
    expect(verdict.steps).toEqual(passed(verdict));
  });

  it("keeps dynamic sizes, names of modules and the history", { timeout: 300_000 }, async () => {
    const { sets } = await caseOf("block");
    using module = await Module.load(at("block.pt2"));
    using space = (await convert(module, "fastnas", sets[0]?.args as never, {
      channelDivisor: 2,
      depth: false, // with every module still there
    })) as SearchSpace;
    narrow(space);
    using subnet = await space.export();
    await subnet.save(at("kept.pt2"));
    const verdict = await verdictOf("kept", at("kept.pt2"), sets);
    expect(verdict.dynamic).toHaveLength(2);
    expect(Object.values(verdict.stacks)).toContain("qkv");
    using again = await Module.load(at("kept.pt2"));
    expect(again.history).toEqual(subnet.history);
    expect(again.history.length).toBeGreaterThan(0);
  });

  it(
    "makes an exported program of a TorchScript file, with a dynamic batch",
    { timeout: 300_000 },
    async () => {
      for (const name of ["cnn", "resnet18", "mobilenet_v2"]) {
        const { args } = await firstOf(name);
        using module = await Module.load(at(`${name}.pt`));
        await expectCode("ERR_EXPORTED_WRITE", () => module.save(at("none.pt2")));
        await module.save(at(`${name}_traced.pt2`), { input: args });
        const shape = (args[0] as Tensor).shape;
        const count = 5 * shape.slice(1).reduce((a, b) => a * b, 1);
        const larger = Tensor.from(
          Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
          [5, ...shape.slice(1)],
        );
        const verdict = await verdictOf(`${name}_traced`, at(`${name}.pt`), [
          { args, kwargs: {} },
          { args: [larger], kwargs: {} },
        ]);
        expect(verdict.steps).toEqual(passed(verdict));
        expect(verdict.dynamic).toHaveLength(1);
      }
    },
  );

  it("writes the mode that the module is in", { timeout: 300_000 }, async () => {
    const { args } = await firstOf("cnn_train");
    using module = await Module.load(at("cnn_train.pt2"));
    expect(module.training).toBe(true);
    await module.save(at("mode_train.pt2"));
    using training = await Module.load(at("mode_train.pt2"));
    expect(training.training).toBe(true);
    module.eval();
    await module.save(at("mode_eval.pt2"));
    const verdict = await verdictOf("mode_eval", at("mode_eval.pt2"), [{ args, kwargs: {} }]);
    expect(verdict.steps).toEqual(passed(verdict));
  });

  it("refuses what it can't write, and leaves the earlier file", { timeout: 120_000 }, async () => {
    // A slice whose end is a third of a product of sizes; a condition on values.
    writeFileSync(at("kept_file.pt2"), "earlier");
    for (const name of ["sizes", "choice"]) {
      using module = await Module.load(at(`${name}.pt2`));
      await expectCode("ERR_EXPORTED_WRITE", () => module.save(at("kept_file.pt2")));
    }
    using module = await Module.load(at("cnn.pt2"));
    await expectCode("ERR_EXPORTED_WRITE", () => module.save(at("kept_file.pt2"), { format: "torchscript" }));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () =>
      module.save(at("kept_file.pt2"), { formt: "pt2" } as never),
    );
  });
});
