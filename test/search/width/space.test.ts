/** SearchSpace's own logic, without LibTorch. */
import { describe, expect, it } from "vitest";

import { Random, type SearchSpace, type SpaceMetric } from "../../../lib";
import { fakeSpace, macsOf } from "../../support/fake-space";
import { expectCode } from "../../support/tensors";

describe("SearchSpace", () => {
  it("selects by name, and keeps what is not named", () => {
    const { space, native } = fakeSpace();
    const [stem] = space.hyperparameters;
    expect(stem).toMatchObject({
      name: "stem",
      kind: "outChannels",
      choices: [4, 8, 12, 16],
      full: 16,
      active: 16,
    });
    space.select({ stem: 8 });
    space.select({ "body.conv2": 8 });
    expect(space.active).toEqual({ stem: 8, "body.conv1": 32, "body.conv2": 8 });
    expect(stem?.active).toBe(8);
    expect(native.widths).toEqual([8, 32, 8]);
    space.select(space.smallestConfig);
    expect(native.widths).toEqual([4, 8, 8]);
    space.select(space.fullConfig);
    expect(native.widths).toEqual([16, 32, 16]);
  });

  it("refuses names, widths and metrics that do not exist, and selects nothing then", async () => {
    const { space } = fakeSpace();
    const unknown = await expectCode("ERR_UNKNOWN_HYPERPARAMETER", () =>
      space.select({ stem: 8, body_conv1: 8 }),
    );
    expect(unknown.message).toContain('did you mean "body.conv1"');
    await expectCode("ERR_CHOICE", () => space.select({ "body.conv2": 8, stem: 5 }));
    await expectCode("ERR_CHOICE", () => space.select({ stem: "8" as never }));
    await expectCode("ERR_ARGUMENT", () => space.select([8] as never));
    await expectCode("ERR_UNKNOWN_METRIC", () => space.cost({}, "flop" as SpaceMetric));
    await expectCode("ERR_CHOICE", () => space.cost({ stem: 99 }, "flops"));
    expect(space.active).toEqual(space.fullConfig);
  });

  it("prices without selecting", () => {
    const { space } = fakeSpace();
    expect(space.cost({ stem: 8 }, "macs")).toBe(macsOf([8, 32, 16]));
    expect(space.costs({ stem: 8 })).toMatchObject({
      macs: macsOf([8, 32, 16]),
      flops: 2 * macsOf([8, 32, 16]),
    });
    expect(space.active).toEqual(space.fullConfig);
  });

  it("samples evenly, by the seed, without selecting", async () => {
    const { space } = fakeSpace();
    const draw = (seed: number) => {
      const rng = new Random(seed);
      return Array.from({ length: 400 }, () => space.sample(rng));
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const counts = [4, 8, 12, 16].map((width) => draw(1).filter(({ stem }) => stem === width).length);
    for (const count of counts) expect(Math.abs(count - 100)).toBeLessThan(40); // 4.6 standard deviations
    expect(space.active).toEqual(space.fullConfig);
    await expectCode("ERR_ARGUMENT", () => space.sample(undefined as never));
  });

  it("has no training mode", async () => {
    const { space } = fakeSpace();
    expect(space.training).toBe(false);
    expect(space.eval()).toBe(space);
    expect(space.train(false)).toBe(space);
    await expectCode("ERR_NO_TRAINING", () => space.train());
  });

  it("is told by the module, the mode and the settings, not by the selection", async () => {
    const { space } = fakeSpace();
    const before = await space.fingerprint();
    space.select({ stem: 4 });
    expect(await space.fingerprint()).toBe(before);
    expect(await fakeSpace().space.fingerprint()).toBe(before);
    expect(await fakeSpace("other").space.fingerprint()).not.toBe(before);
  });

  it("recalibrates on batches, generators and forward loops, and always stops it", async () => {
    const { space, native } = fakeSpace();
    await space.recalibrate([[1], [2]]);
    expect(native.calibrated).toBe(2);
    space.select({});
    await space.recalibrate(function* () {
      yield* [[1], [2], [3]];
    });
    expect(native.calibrated).toBe(3);
    space.select({});
    await space.recalibrate(async (model) => {
      await (model as SearchSpace).forward(1);
    });
    expect(native.calibrated).toBe(1);
    await expectCode("ERR_EMPTY_LOADER", () => space.recalibrate([]));
    await expect(
      space.recalibrate(() => {
        throw new Error("mine");
      }),
    ).rejects.toThrow("mine");
    await expectCode("ERR_ARGUMENT", () => space.recalibrate(5 as never));
    await expectCode("ERR_ABORTED", () => space.recalibrate([[1]], { signal: AbortSignal.abort() }));
    expect(native.recalibrating).toBe(false);
  });

  it("closes", () => {
    const { space, native } = fakeSpace();
    space[Symbol.dispose]();
    expect(space.closed).toBe(true);
    expect(native.closed).toBe(true);
  });
});
