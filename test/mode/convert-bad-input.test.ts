/** What can't become a search space is refused with a code and a sentence that says what to change. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, Tensor } from "../../lib";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixture = (name: string) => path.join(root, "test", "fixtures", "hard", name);
const zeros = (...shape: number[]) =>
  Tensor.from(new Float32Array(shape.reduce((product, size) => product * size, 1)), shape);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-bad-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy of a file whose code names something else. */
function withCode(name: string, from: string, to: string): string {
  const entries: Zippable = {};
  for (const [entry, bytes] of Object.entries(unzipSync(readFileSync(fixture(name))))) {
    entries[entry] = entry.endsWith(".py") ? strToU8(strFromU8(bytes).replaceAll(from, to)) : bytes;
  }
  const file = path.join(folder, name);
  writeFileSync(file, zipSync(entries, { level: 0 }));
  return file;
}

async function expectRefusal(attempt: Promise<unknown>, code: string, ...words: string[]): Promise<void> {
  const { message } = await expectCode(code, () => attempt);
  for (const word of words) expect(message).toContain(word);
}

describe("a model that can't become a search space", () => {
  it.each(["scripted", "traced"])("is quantized (%s)", async (form) => {
    const module = await Module.load(fixture(`quantized.${form}.pt`));
    await expectRefusal(convert(module, "fastnas", zeros(2, 8)), "ERR_NO_PARAMETERS", "quantized");
  });

  it("has a loop that ends when a value says so", async () => {
    const module = await Module.load(fixture("data_dependent_loop.scripted.pt"));
    const index = JSON.parse(readFileSync(fixture("index.json"), "utf8"));
    const { shape } = index.cases.data_dependent_loop.inputs[0];
    await expectRefusal(convert(module, "fastnas", zeros(...shape)), "ERR_DATA_DEPENDENT", "aten::Bool");
  });

  it("uses an operator of another library", async () => {
    const file = withCode("simple_cnn.scripted.pt", "torch.conv2d(", "ops.mylib.conv(");
    await expectRefusal(Module.load(file), "ERR_UNKNOWN_OPERATOR", "mylib::conv", "Replace it");
  });

  it("holds a custom class of another library", async () => {
    const file = withCode("quantized.scripted.pt", "torch.classes.quantized.", "torch.classes.mylib.");
    await expectRefusal(Module.load(file), "ERR_UNKNOWN_CLASS", "mylib.LinearPackedParamsBase", "Replace it");
  });
});

describe("a dummy input that doesn't fit", () => {
  it.each([
    ["has too many channels", [zeros(1, 5, 8, 8)], "ERR_FORWARD", "channels"],
    ["lacks a dimension", [zeros(3, 8)], "ERR_FORWARD", "4D"],
    ["is of another dtype", [Tensor.from(new Int32Array(192), [1, 3, 8, 8])], "ERR_FORWARD", "dtype"],
    ["is missing", [], "ERR_INPUT", ""],
    ["is one too many", [zeros(1, 3, 8, 8), zeros(1)], "ERR_INPUT", ""],
    ["is no tensor", ["image"], "ERR_INPUT", ""],
  ])("%s", async (_, dummyInput, code, word) => {
    const module = await Module.load(fixture("simple_cnn.scripted.pt"));
    await expectRefusal(convert(module, "fastnas", dummyInput), code, word);
  });
});
