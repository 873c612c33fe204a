import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, finetune, Module, profile, Tensor, TensorDataLoader } from "../../lib";
import { at, bitsOf, firstOf, makePrograms, scratch } from "../support/exported";

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(
  () => makePrograms(["cnn", "cnn_batch", "block", "block_static", "encoder", "resnet18", "mobilenet_v2"]),
  600_000,
);

describe("what is made of exported programs", () => {
  it.each(["cnn", "block_static", "resnet18", "mobilenet_v2"])(
    "costs what the trace does: %s",
    async (name) => {
      const { args } = await firstOf(name);
      using exported = await Module.load(at(`${name}.pt2`));
      using traced = await Module.load(at(`${name}.pt`));
      const metrics = ["params", "macs", "flops"] as const;
      const own = await profile(exported, args, { metrics });
      const other = await profile(traced, args, { metrics });
      for (const metric of metrics) expect(own[metric], metric).toBe(other[metric]);
      const widths = async (module: Module) => {
        const space = await convert(module, "fastnas", args);
        const found = space.hyperparameters.filter(
          ({ kind, choices }) => kind !== "depth" && choices.length > 1,
        );
        const smallest = await space.costs(space.smallestConfig);
        space.close();
        return {
          widths: found.map(({ name, full, choices }) => ({ name, full, choices: [...choices] })),
          macs: smallest.macs,
          params: smallest.params,
        };
      };
      const ofExported = await widths(exported);
      expect(ofExported.widths.length).toBeGreaterThan(0);
      expect(ofExported).toEqual(await widths(traced));
    },
  );

  it.each(["cnn_batch", "block", "encoder", "resnet18", "mobilenet_v2"])(
    "half widths are the full model with zeros: %s",
    async (name) => {
      const { args, outputs } = await firstOf(name);
      using module = await Module.load(at(`${name}.pt2`));
      const space = await convert(module, "fastnas", args, { channelDivisor: 2 });
      const half = Object.fromEntries(
        space.hyperparameters.map(({ name, full, choices, kind }) => {
          const sizes = choices as readonly number[];
          if (kind === "depth") return [name, full];
          return [
            name,
            sizes.reduce((a, b) => (Math.abs(b - Number(full) / 2) < Math.abs(a - Number(full) / 2) ? b : a)),
          ];
        }),
      );
      await space.select(half as never);
      const selected = await space.forward(...args);
      using subnet = await space.export();
      const small = subnet.namedParameters().reduce((sum, { tensor }) => sum + tensor.size, 0);
      const large = module.namedParameters().reduce((sum, { tensor }) => sum + tensor.size, 0);
      expect(small).toBeLessThan(0.8 * large);
      const got = (await subnet.forward(...args)) as Tensor;
      expect(got.shape).toEqual((outputs[0] as Tensor).shape);
      expect(differenceOf(got, selected as Tensor)).toBeLessThan(1e-5);
      await subnet.save(at(`${name}.half.pt`));
      using again = await Module.load(at(`${name}.half.pt`));
      expect(differenceOf((await again.forward(...args)) as Tensor, got)).toBeLessThan(1e-6);
      space.close();
    },
  );
});

describe("an exported program and its trace", () => {
  const both = async <Result>(
    name: string,
    run: (module: Module) => Promise<Result>,
  ): Promise<[Result, Result]> => {
    using exported = await Module.load(at(`${name}.pt2`));
    using traced = await Module.load(at(`${name}.pt`));
    return [await run(exported), await run(traced)];
  };
  const input = () =>
    Tensor.from(
      Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)),
      [1, 3, 8, 8],
    );
  const data = () =>
    TensorDataLoader.fromTensors(
      [
        Tensor.from(
          Float32Array.from({ length: 24 * 192 }, (_, i) => Math.sin(i * 0.37)),
          [24, 3, 8, 8],
        ),
        Tensor.from(
          BigInt64Array.from({ length: 24 }, (_, i) => BigInt(i % 10)),
          [24],
        ),
      ],
      { batchSize: 7 },
    );
  const stateOf = (module: Module) =>
    [...module.namedParameters(), ...module.namedBuffers()]
      .filter(({ name }) => !name.endsWith("num_batches_tracked"))
      .map(({ name, tensor }) => [name, bitsOf(tensor)]);

  it("train alike", async () => {
    const [own, other] = await both("cnn_batch", async (module) => {
      const before = stateOf(module);
      const { epochs } = await finetune(module, data() as never, { epochs: 2, seed: 3, learningRate: 0.05 });
      expect(stateOf(module)).not.toEqual(before);
      return { losses: epochs.map(({ loss }) => loss), state: stateOf(module) };
    });
    expect(own.state).toEqual(other.state);
  });

  it("are quantized and made sparse alike", async () => {
    for (const mode of ["sparse_magnitude", "auto_quantize"] as const) {
      const [own, other] = await both("cnn_batch", async (module) => {
        const space = await convert(module, mode, input());
        const output = await space.forward(input());
        using exported = await space.export();
        await exported.save(at("mode.pt"));
        using saved = await Module.load(at("mode.pt"));
        const again = bitsOf(await saved.forward(input()));
        space.close();
        return [bitsOf(output), again];
      });
      expect(own, mode).toEqual(other);
    }
  });

  it("are ranked alike by what the data say", async () => {
    const [own, other] = await both("cnn_batch", async (module) => {
      const space = await convert(module, "fastnas", input(), {
        importance: "taylor",
        data: data() as never,
      });
      await space.select(space.smallestConfig);
      const output = bitsOf(await space.forward(input()));
      space.close();
      return output;
    });
    expect(own).toEqual(other);
  });
});

function differenceOf(a: Tensor, b: Tensor): number {
  const other = b.data() as Float32Array;
  return (a.data() as Float32Array).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (other[i] as number))),
    0,
  );
}
