/** What a user may fix of a space: what is expected follows from the models' code (scripts/fixtures/models). */
import path from "node:path";
import { describe, expect, it } from "vitest";

import { type ConvertConfig, convert, Module, Random, type SearchSpace, Tensor } from "../../lib";
import { findMode } from "../../lib/mode/registry";
import { hardwareMultiple } from "../../lib/space/width-control";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const dummyInput = () =>
  Tensor.from(
    Float32Array.from({ length: 64 }, (_, i) => (i % 17) / 17),
    [1, 1, 8, 8],
  );

async function spaceOf(config: ConvertConfig, name = "digits_resnet"): Promise<SearchSpace> {
  const module = await Module.load(path.join(root, "test", "fixtures", `${name}.pt`));
  return convert(module, "fastnas", dummyInput(), config);
}

const named = (space: SearchSpace, name: string) => {
  const found = space.hyperparameters.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};

describe("include and exclude", { timeout: 120_000 }, () => {
  it("keep what they don't name whole, by names, globs and kinds", async () => {
    const space = await spaceOf({ include: ["layer2.*", "conv1"], exclude: ["layer2.1.*", "depth"] });
    const free = space.hyperparameters.filter(({ choices }) => choices.length > 1).map(({ name }) => name);
    expect(free).toEqual(["conv1", "layer2.0.conv1", "layer2.0.conv2"]);
    for (const { choices, full, fixed } of space.hyperparameters) {
      if (choices.length === 1) expect(choices[0]).toBe(full);
      expect(fixed === null).toBe(choices.length > 1);
    }
    expect(named(space, "layer2.1.conv1").fixed).toBe("exclude names it");
    expect(named(space, "layer3.0.conv1").fixed).toBe("include leaves it out");
    await expectCode("ERR_CHOICE", () => space.select({ "layer3.0.conv1": 8 }));
  });

  it.each([
    ["ERR_UNKNOWN_LAYER", { include: ["layer9.*"] }],
    ["ERR_UNKNOWN_LAYER", { exclude: ["conv_1"] }],
    ["ERR_UNKNOWN_LAYER", { minWidth: { "layer9.*": 8 } }],
    ["ERR_UNKNOWN_LAYER", { ties: [["layer9.*"]] }],
    ["ERR_CONFLICTING_LAYERS", { include: ["conv1"], exclude: ["conv1"] }],
    ["ERR_CONFLICTING_LAYERS", { include: ["layer1.*", "conv1"], exclude: ["layer1*"] }],
    ["ERR_CONFLICTING_LAYERS", { exclude: ["*"] }],
    ["ERR_CONFLICTING_LAYERS", { minWidth: 24, maxWidth: 16 }],
    ["ERR_CONFLICTING_LAYERS", { exclude: ["conv1"], maxWidth: { conv1: "50%" } }],
    ["ERR_CONFLICTING_LAYERS", { maxWidth: 4 }],
    ["ERR_CONFLICTING_LAYERS", { ties: [["conv1", "layer3.0.conv1"]] }],
    ["ERR_CONFLICTING_LAYERS", { ties: [["conv1", "layer1.0.conv1"], ["layer1.*.conv1"]] }],
    ["ERR_CONFIG_VALUE", { minWidth: "120%" }],
    ["ERR_CONFIG_VALUE", { minWidth: { conv1: -3 } }],
    ["ERR_CONFIG_VALUE", { roundTo: "soft" as never }],
    ["ERR_CONFIG_VALUE", { include: "conv1" as never }],
    ["ERR_CONFIG_VALUE", { ties: ["conv1"] as never }],
  ] as [string, ConvertConfig][])("refuse with %s %j", async (code, config) => {
    await expectCode(code, () => spaceOf(config));
  });
});

describe("widths", { timeout: 120_000 }, () => {
  it("lie within least and greatest ones, and the full model can still be selected", async () => {
    const space = await spaceOf({ minWidth: "50%", maxWidth: { "layer3.*": 64, conv1: "75%" } });
    expect(named(space, "conv1").choices).toEqual([16, 24]);
    expect(named(space, "layer2.0.conv1").choices).toEqual([32, 40, 48, 56, 64]);
    expect(named(space, "layer3.0.conv2").choices).toEqual([48, 56, 64]);
    expect(named(space, "layer3.1.depth").choices).toEqual([0, 1]);
    space.select(space.fullConfig);
    expect(space.active["layer3.0.conv2"]).toBe(96);
    expect(space.largestConfig["layer3.0.conv2"]).toBe(64);
    expect(space.cost(space.largestConfig, "flops")).toBeLessThan(space.cost(space.fullConfig, "flops"));
  });

  it("are multiples of roundTo in channels, also of heads", async () => {
    const space = await spaceOf({ roundTo: 32 });
    expect(named(space, "conv1").choices).toEqual([32]);
    expect(named(space, "layer3.0.conv1").choices).toEqual([32, 64, 96]);
    const vit = await spaceOf({ roundTo: 24, depth: false }, "digits_vit");
    for (const { choices, full, channels } of vit.hyperparameters)
      for (const choice of choices) expect(choice === full || (choice * channels) % 24 === 0).toBe(true);
    // Four heads of 64 channels together: 48 are three heads, 24 are none.
    const heads = vit.hyperparameters.find(({ kind }) => kind === "numHeads");
    expect(heads?.channels).toBe(16);
    expect(heads?.choices).toEqual([3, 4]);
  });

  it("fit the device's matrix units with roundTo hardware", async () => {
    // NVIDIA's table: multiples of 128 bytes on A100; 16 floats are a vector of AVX-512.
    expect(hardwareMultiple("cuda:0", 2)).toBe(64);
    expect(hardwareMultiple("cuda", 4)).toBe(32);
    expect(hardwareMultiple("cpu", 4)).toBe(16);
    const space = await spaceOf({ roundTo: "hardware" });
    expect(named(space, "layer2.0.conv1").choices).toEqual([16, 32, 48, 64]);
  });

  it("are the same where they are tied, in costs, forwards and exports", async () => {
    const space = await spaceOf({ ties: [["layer1.*.conv1"], ["layer?.1.depth"]] });
    const tied = named(space, "layer1.0.conv1");
    expect(tied.tied).toEqual(["layer1.1.conv1"]);
    expect(named(space, "layer1.1.depth").tied).toEqual(["layer2.1.depth", "layer3.1.depth"]);
    expect(space.hyperparameters.some(({ name }) => name === "layer1.1.conv1")).toBe(false);
    const free = await spaceOf({});
    const both = { "layer1.0.conv1": 8, "layer1.1.conv1": 8 };
    expect(space.cost({ ...space.fullConfig, "layer1.0.conv1": 8 }, "params")).toBe(
      free.cost({ ...free.fullConfig, ...both }, "params"),
    );
    space.select({ "layer1.0.conv1": 8 });
    free.select(both);
    expect(numbersOf((await space.forward(dummyInput())) as Tensor)).toEqual(
      numbersOf((await free.forward(dummyInput())) as Tensor),
    );
    const subnet = await space.export();
    const shapes = new Map(subnet.namedParameters().map(({ name, tensor }) => [name, [...tensor.shape]]));
    expect(shapes.get("layer1.0.conv1.weight")?.[0]).toBe(8);
    expect(shapes.get("layer1.1.conv1.weight")?.[0]).toBe(8);
    await space.addHyperparameter("bias", {
      tensor: "fc.bias",
      values: [Tensor.from(new Float32Array(10))],
    });
    space.select({ bias: 0, "layer1.1.depth": 0 });
    expect(space.active).toMatchObject({ bias: 0, "layer1.1.depth": 0, "layer1.0.conv1": 8, conv1: 32 });
  });

  it("of another choice are another space for checkpoints; without any control it is the same", async () => {
    const plain = await (await spaceOf({})).fingerprint();
    expect(await (await spaceOf({ exclude: [], minWidth: null })).fingerprint()).toBe(plain);
    expect(await (await spaceOf({ exclude: ["conv1"] })).fingerprint()).not.toBe(plain);
  });
});

it("maxLeftOut keeps all blocks but those that the outputs miss least", { timeout: 120_000 }, async () => {
  const free = await spaceOf({});
  const blocks = free.hyperparameters.filter(({ kind }) => kind === "depth").map(({ name }) => name);
  const whole = numbersOf((await free.forward(dummyInput())) as Tensor).map(Number);
  const damages: [string, number][] = [];
  for (const block of blocks) {
    free.select({ ...free.fullConfig, [block]: 0 });
    const without = numbersOf((await free.forward(dummyInput())) as Tensor).map(Number);
    damages.push([block, without.reduce((sum, value, i) => sum + (value - (whole[i] as number)) ** 2, 0)]);
  }
  damages.sort(([, a], [, b]) => a - b);
  const space = await spaceOf({ maxLeftOut: 2 });
  const dispensable = space.hyperparameters.filter(
    ({ kind, choices }) => kind === "depth" && choices.length > 1,
  );
  expect(dispensable.map(({ name }) => name).sort()).toEqual(
    damages
      .slice(0, 2)
      .map(([name]) => name)
      .sort(),
  );
});

describe("every searcher", { timeout: 240_000 }, () => {
  const { searchers } = findMode("fastnas");
  const control: ConvertConfig = {
    exclude: ["layer2.0.conv1"],
    minWidth: "25%",
    maxWidth: { "layer3.*": "75%", conv1: 24 },
    ties: [["layer1.*.conv1"]],
    channelDivisor: 16,
  };
  it.each(Object.keys(searchers).filter((name) => name !== "gradient"))(
    "%s stays within it",
    async (name) => {
      const space = await spaceOf(control);
      const Searcher = searchers[name] as unknown as new () => {
        search(...args: unknown[]): Promise<{ subnet: Module; stateDict: { best: { config: object } } }>;
        defaultSearchConfig: object;
      };
      const iterative = "numIters" in new Searcher().defaultSearchConfig;
      // Wider is better, so that a search would take all that it may.
      const scoreFunc = async () => space.cost(space.active, "params");
      const { stateDict } = await new Searcher().search(space, { flops: "90%" }, dummyInput(), {
        scoreFunc,
        ...(iterative && { numIters: 12 }),
        seed: 1,
      });
      for (const [hyperparameter, value] of Object.entries(stateDict.best.config))
        expect(named(space, hyperparameter).choices, hyperparameter).toContain(value);
      const random = new Random(0);
      for (const each of space.hyperparameters)
        expect(each.choices).toContain(space.sample(random)[each.name]);
    },
  );
});
