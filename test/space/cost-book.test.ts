/**
 * What a space says that a subnet costs is what profile() counts on the exported subnet: an independent path, which
 * test/profile/profile.test.ts checks against PyTorch.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, profile, Random, type SearchSpace, Tensor } from "../../lib";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");

interface Described {
  shape: number[];
  dtype: string;
  data?: number[];
  values?: number[];
}

interface HardCase {
  files: Record<string, string>;
  inputs: Described[];
}

const hard = (
  JSON.parse(readFileSync(path.join(fixtures, "hard", "index.json"), "utf8")) as {
    cases: Record<string, HardCase>;
  }
).cases;

/** One of each kind of cost: grouped, concatenated, transposed, normalized, attended, embedded. */
const HARD = [
  "attention_einsum",
  "chunk",
  "concat",
  "conv1d",
  "conv3d",
  "conv_transposed",
  "convnext_block",
  "dense",
  "depthwise",
  "embedding_tied",
  "flatten_linear",
  "glu",
  "group_norm",
  "grouped_conv",
  "mlp_mixer",
];

interface Fixture {
  file: string;
  inputs: () => Tensor[];
}

const zeros = (shape: number[]) =>
  Tensor.from(new Float32Array(shape.reduce((size, dimension) => size * dimension, 1)), shape);

const cases: [string, Fixture][] = [
  ...["digits_resnet", "digits_cnn", "digits_vit"].map((name): [string, Fixture] => [
    name,
    { file: path.join(fixtures, `${name}.pt`), inputs: () => [zeros([1, 1, 8, 8])] },
  ]),
  ...HARD.flatMap((name) =>
    Object.entries((hard[name] as HardCase).files).map(([form, file]): [string, Fixture] => [
      `${name}, ${form}`,
      {
        file: path.join(fixtures, "hard", file),
        inputs: () =>
          (hard[name] as HardCase).inputs.map(({ shape, dtype, data }) =>
            Tensor.from(dtype === "int64" ? (data as number[]).map(BigInt) : (data as number[]), shape, {
              dtype: dtype as "float32",
            }),
          ),
      },
    ]),
  ),
];

describe("cost() equals profile() of the exported subnet", { timeout: 240_000 }, () => {
  it.each(cases)("%s", async (_, { file, inputs }) => {
    for (const channelDivisor of [1, 8]) {
      const module = await Module.load(file);
      const space = await convert(module, "fastnas", inputs(), { channelDivisor });
      await fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const config = seed === 0 ? space.smallestConfig : space.sample(new Random(seed));
          space.select(config);
          const subnet = await space.export();
          const { params, macs, flops, size, memory } = await profile(subnet, inputs(), {
            metrics: ["flops"],
          });
          subnet.close();
          expect(space.costs(config)).toEqual({ params, macs, flops, size, memory });
          expect(space.cost(config, "macs")).toBe(macs);
        }),
        { numRuns: 4, examples: [[0]], endOnFailure: true },
      );
      space.close();
      module.close();
    }
  });
});

describe("cost()", () => {
  let module: Module;
  let space: SearchSpace;
  beforeAll(async () => {
    module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
    space = await convert(module, "fastnas", zeros([1, 1, 8, 8]));
  });
  afterAll(() => module.close());

  it("takes the active width of what a config leaves out, and the order of names doesn't matter", () => {
    const rng = new Random(5);
    const config = space.sample(rng);
    const backwards = Object.fromEntries(Object.entries(config).reverse());
    expect(space.cost(backwards, "flops")).toBe(space.cost(config, "flops"));
    const [name, width] = Object.entries(config)[0] as [string, number];
    const { [name]: _, ...rest } = config;
    space.select({ ...space.fullConfig, [name]: width });
    expect(space.cost(rest, "flops")).toBe(space.cost(config, "flops"));
    expect(space.cost({}, "params")).toBe(space.cost({ ...space.fullConfig, [name]: width }, "params"));
    space.select(space.fullConfig);
  });

  it("refuses names, widths and metrics that do not exist, also after good queries", async () => {
    space.cost(space.smallestConfig, "flops");
    await expectCode("ERR_UNKNOWN_HYPERPARAMETER", () =>
      space.cost({ ...space.fullConfig, nothing: 8 }, "flops"),
    );
    const [name] = Object.keys(space.fullConfig) as [string];
    for (const width of [7, "8", undefined, Number.NaN, 8.5, -8, 2 ** 32 + 8]) {
      await expectCode("ERR_CHOICE", () =>
        space.cost({ ...space.fullConfig, [name]: width as number }, "flops"),
      );
    }
    await expectCode("ERR_UNKNOWN_METRIC", () => space.cost({}, "joules" as "flops"));
  });
});
