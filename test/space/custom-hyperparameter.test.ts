/** Constants of a graph, and what is refused as a hyperparameter of the user's own. */
import path from "node:path";
import { describe, expect, it } from "vitest";

import { convert, Module, type SearchSpace, Tensor } from "../../lib";
import type { CustomHyperparameter } from "../../lib/entries/space";
import {
  dummyInput,
  expected,
  farthest,
  outputsOf,
  prepareCustomModels,
  space,
  spaceOf,
  tensors,
} from "../support/custom-models";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

prepareCustomModels();

describe("constants()", () => {
  it("names the numbers of a scripted graph by module, operator and argument", () => {
    const listed = space.constants().map(({ name, operator, argument, type, value }) => ({
      name,
      operator,
      argument,
      type,
      value,
    }));
    expect(listed).toEqual([
      {
        name: "act.leaky_relu.negative_slope",
        operator: "aten::leaky_relu_",
        argument: "negative_slope",
        type: "float",
        value: 0.01,
      },
      {
        name: "norm.batch_norm.eps",
        operator: "aten::batch_norm",
        argument: "eps",
        type: "float",
        value: 1e-5,
      },
      {
        name: "clip.hardtanh.min_val",
        operator: "aten::hardtanh",
        argument: "min_val",
        type: "float",
        value: -2,
      },
      {
        name: "clip.hardtanh.max_val",
        operator: "aten::hardtanh",
        argument: "max_val",
        type: "float",
        value: 2,
      },
      { name: "attn.mul.other", operator: "aten::mul", argument: "other", type: "float", value: 0.25 },
      { name: "drop.dropout.p", operator: "aten::dropout", argument: "p", type: "float", value: 0.1 },
    ]);
  });

  it("names those of a trace alike, and the same each time", async () => {
    const traced = await spaceOf("model.traced.pt");
    const names = (of: SearchSpace) => of.constants().map(({ name }) => name);
    expect(names(traced)).toEqual(names(space));
    traced.close();
  });

  it("tells the scale of fused attention, which graphs leave out", async () => {
    const vit = await Module.load(path.join(root, "test/fixtures/digits_vit.pt"));
    const heads = await convert(vit, "fastnas", dummyInput());
    const scales = heads.constants().filter(({ argument }) => argument === "scale");
    expect(scales.map(({ name, value }) => [name, value])).toEqual(
      [0, 1, 2, 3].map((block) => [`blocks.${block}.attn.scaled_dot_product_attention.scale`, 0.25]),
    );
    const before = await outputsOf(heads);
    const constant = scales.map(({ name }) => name);
    await heads.addHyperparameter("temperature", { constant, values: [0.5], active: 0.5 });
    const hot = await outputsOf(heads);
    expect(farthest(hot, before)).toBeGreaterThan(0.01);
    expect(farthest(await outputsOf(await heads.export()), hot)).toBeLessThan(1e-4);
    heads.close();
  });
});

describe("bad input", () => {
  const add = (definition: unknown, name: unknown = "mine") =>
    space.addHyperparameter(name as string, definition as CustomHyperparameter);
  const slope = "act.leaky_relu.negative_slope";

  it.each<[string, string, unknown, unknown?]>([
    ["no name", "ERR_ARGUMENT", { constant: slope, values: [1] }, ""],
    ["a name that is no string", "ERR_ARGUMENT", { constant: slope, values: [1] }, 3],
    ["a name that is taken", "ERR_HYPERPARAMETER", { constant: slope, values: [1] }, "conv1"],
    ["nothing", "ERR_ARGUMENT", undefined],
    ["no target", "ERR_ARGUMENT", { values: [1] }],
    ["two targets", "ERR_ARGUMENT", { constant: slope, tensor: "conv1.bias", values: [1] }],
    ["an unknown key", "ERR_ARGUMENT", { constant: slope, values: [1], chanelOrder: "original" }],
    ["no values", "ERR_ARGUMENT", { constant: slope }],
    ["values that are no array", "ERR_ARGUMENT", { constant: slope, values: 1 }],
    ["no value", "ERR_HYPERPARAMETER", { constant: slope, values: [] }],
    ["the model's value alone", "ERR_HYPERPARAMETER", { constant: slope, values: [0.01] }],
    ["NaN", "ERR_ARGUMENT", { constant: slope, values: [Number.NaN] }],
    ["an infinite value", "ERR_ARGUMENT", { constant: slope, values: [Infinity] }],
    ["a text", "ERR_ARGUMENT", { constant: slope, values: ["0.1"] }],
    ["an unknown constant", "ERR_UNKNOWN_CONSTANT", { constant: "act.leaky_relu.slope", values: [1] }],
    ["no constant", "ERR_HYPERPARAMETER", { constant: [], values: [1] }],
    ["constants that differ", "ERR_HYPERPARAMETER", { constant: [slope, "drop.dropout.p"], values: [1] }],
    ["a value that the operator refuses", "ERR_HYPERPARAMETER", { constant: "drop.dropout.p", values: [2] }],
    ["an active value that is no choice", "ERR_CHOICE", { constant: slope, values: [0.1], active: 0.2 }],
    ["a tensor's path that is no string", "ERR_ARGUMENT", { tensor: 3, values: [] }],
    ["numbers for a tensor", "ERR_ARGUMENT", { tensor: "conv1.bias", values: [1, 2] }],
    ["no tensor", "ERR_HYPERPARAMETER", { tensor: "conv1.bias", values: [] }],
    [
      "an unknown channel order",
      "ERR_ARGUMENT",
      { tensor: "conv1.bias", values: [], channelOrder: "sorted" },
    ],
  ])("%s is refused with %s", async (_, code, definition, name = "mine") => {
    const before = await space.fingerprint();
    await expectCode(code, () => add(definition, name));
    expect(space.hyperparameters.some(({ kind }) => kind === "custom")).toBe(false);
    expect(await space.fingerprint()).toBe(before);
    expect(farthest(await outputsOf(space), expected.none as number[])).toBeLessThan(1e-4);
  });

  it("unknown targets are told with the nearest one", async () => {
    const constant = await expectCode("ERR_UNKNOWN_CONSTANT", () =>
      add({ constant: "act.leaky_relu.slope", values: [1] }),
    );
    expect(constant.message).toContain(`"${slope}"`);
    const tensor = await expectCode("ERR_UNKNOWN_TENSOR", () => add({ tensor: "conv1.wieght", values: [] }));
    expect(tensor.message).toContain('"conv1.weight"');
  });

  it("tensors that don't fit are refused", async () => {
    const bias = (values: Tensor) => add({ tensor: "conv1.bias", values: [values] });
    const shape = await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float32Array(7))));
    expect(shape.message).toContain("[8]");
    await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float64Array(8))));
    await expectCode("ERR_HYPERPARAMETER", () => bias(Tensor.from(new Float32Array(8).fill(Number.NaN))));
    const closed = Tensor.from(new Float32Array(8));
    closed.close();
    await expectCode("ERR_CLOSED", () => bias(closed));
    expect(space.hyperparameters.some(({ kind }) => kind === "custom")).toBe(false);
  });

  it("names and targets are taken once", async () => {
    await add({ constant: slope, values: [0.1] });
    await expectCode("ERR_HYPERPARAMETER", () => add({ constant: "norm.batch_norm.eps", values: [0.1] }));
    await expectCode("ERR_HYPERPARAMETER", () => add({ constant: slope, values: [0.2] }, "other"));
    await add({ tensor: "conv1.bias", values: [tensors.bias] }, "bias");
    await expectCode("ERR_HYPERPARAMETER", () =>
      add({ tensor: "conv1.bias", values: [tensors.bias] }, "other"),
    );
  });

  it("values that are no choice are refused, and change nothing", async () => {
    await add({ constant: slope, values: [0.1] });
    space.select({ mine: 0.1 });
    const refused = await expectCode("ERR_CHOICE", () => space.select({ mine: 0 }));
    expect(refused.message).toContain("0.1, 0.01");
    await expectCode("ERR_CHOICE", () => space.cost({ mine: "0.1" as never }, "flops"));
    expect(space.active.mine).toBe(0.1);
  });

  it("a closed space, and an aborted signal, are told", async () => {
    const signal = AbortSignal.abort();
    await expectCode("ERR_ABORTED", () =>
      space.addHyperparameter("mine", { constant: slope, values: [1] }, { signal }),
    );
    space.close();
    await expectCode("ERR_CLOSED", () => space.constants());
    await expectCode("ERR_CLOSED", () => add({ constant: slope, values: [1] }));
  });
});
