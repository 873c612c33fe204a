/** Models whose buffers lie in memory as few do: every call gives what PyTorch gives, or a code. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { convert, Module, profile, Tensor, TorchSearchError } from "../../lib";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const folder = path.join(root, "test", "fixtures", "strange");
const expected = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8")) as Record<
  string,
  number[][]
>;

// The file with a buffer on the meta device is refused.
const sound = Object.entries(expected).filter(([name]) => name !== "meta");

it("a buffer without elements is refused, with its device", async () => {
  const { message } = await expectCode("ERR_NOT_TORCHSCRIPT", () =>
    Module.load(path.join(folder, "meta.pt")),
  );
  expect(message).toContain("meta device");
});

describe.each(sound)("a model with a buffer that is %s", (name, wanted) => {
  const input = () => Tensor.from([[1, 2, 3]]);
  const close = (output: unknown) => {
    const numbers = numbersOf(output as Tensor);
    (wanted[0] as number[]).forEach((value, at) => {
      expect(numbers[at]).toBeCloseTo(value, 4);
    });
  };

  it("computes what PyTorch does, also as a space and as its export", async () => {
    const module = await Module.load(path.join(folder, `${name}.pt`));
    close(await module.forward(input()));
    const { params } = await profile(module, input(), { metrics: ["params"] });
    expect(params).toBe(3 * 6 + 6 + 6 * 3 + 3);
    const space = await convert(module, "fastnas", input(), { importance: "none", channelDivisor: 1 });
    await space.select(space.fullConfig);
    close(await space.forward(input()));
    const exported = await space.export();
    close(await exported.forward(input()));
    await space.select(space.smallestConfig);
    // Known: a conjugation that is resolved costs less memory in the smallest export than the space says.
    if (name === "conjugated") await expectCode("ERR_EXPORT_COST", () => space.export());
    else (await space.export()).close();
    exported.close();
    for (const each of [space, module]) each.close();
  });

  it("gives the buffer's elements, or says why not", async () => {
    const module = await Module.load(path.join(folder, `${name}.pt`));
    const [held] = module.namedBuffers();
    const read = (): number => held?.tensor.data().length ?? -1;
    if (/complex|conjugated/.test(name)) {
      expect(read).toThrow(TorchSearchError);
      expect(read).toThrow(expect.objectContaining({ code: "ERR_DTYPE" }));
    } else {
      expect(read()).toBe(12);
      expect(held?.tensor.shape).toEqual([4, 3]);
    }
    module.close();
  });
});
