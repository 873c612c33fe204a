/** Models in loops run prepared: results are those of the plain forward, and of exported subnets in their own right. */
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  getThreads,
  Module,
  meanSquaredError,
  type SearchSpace,
  setThreads,
  type Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const fixture = (name: string) => path.join(root, "test", "fixtures", `${name}.pt`);

let images: Tensor;
let loader: TensorDataLoader;
beforeAll(async () => {
  loader = await TensorDataLoader.fromNpz(path.join(root, "test", "fixtures", "digits.npz"), {
    keys: ["test_images", "test_labels"],
    batchSize: 16,
  });
  const [first] = loader;
  images = (first as Record<string, Tensor>).test_images as Tensor;
});
afterAll(() => loader.close());

/** The largest difference, relative to the largest element. */
function difference(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  const [x, y] = [numbersOf(a).map(Number), numbersOf(b).map(Number)];
  const scale = Math.max(...y.map(Math.abs));
  return Math.max(...x.map((value, i) => Math.abs(value - (y[i] as number)))) / scale;
}

describe.each(["digits_cnn", "digits_resnet", "digits_vit"])("%s", (name) => {
  let module: Module;
  let space: SearchSpace;
  beforeAll(async () => {
    module = (await Module.load(fixture(name))).eval();
    space = await convert(module, "fastnas", images);
  });
  afterAll(() => {
    space.close();
    module.close();
  });

  it("evaluates any selection to what its exported module gives, and leaves the weights alone", async () => {
    const before = await module.fingerprint();
    const selection = fc.record(
      Object.fromEntries(space.hyperparameters.map((each) => [each.name, fc.constantFrom(...each.choices)])),
    );
    await fc.assert(
      fc.asyncProperty(selection, async (config) => {
        space.select(config);
        const output = (await space.forward(images)) as Tensor;
        const subnet = await space.export();
        const expected = (await subnet.eval().forward(images)) as Tensor;
        expect(difference(output, expected)).toBeLessThan(1e-4);
        const score = topKAccuracy(loader, { maxBatches: 2 });
        expect(await score(space)).toBe(await score(subnet));
        for (const each of [output, expected, subnet]) each.close();
      }),
      { numRuns: 5, seed: 5 },
    );
    expect(await module.fingerprint()).toBe(before);
  });

  it("scores a module by its forward's outputs, to rounding", async () => {
    const output = (await module.forward(images)) as Tensor;
    const own = TensorDataLoader.fromTensors([images, output], { batchSize: images.shape[0] as number });
    const error = -(await meanSquaredError(own)(module));
    const scale = Math.max(...numbersOf(output).map((value) => Math.abs(Number(value))));
    expect(Math.sqrt(error)).toBeLessThan(1e-5 * scale);
  });

  it("sees weights that JavaScript writes", async () => {
    const score = topKAccuracy(loader, { maxBatches: 2 });
    const before = await score(module);
    space.select(space.fullConfig);
    expect(await score(space)).toBe(before);
    const { tensor } = module.namedParameters().at(-1) as { tensor: Tensor };
    const bias = tensor.data() as Float32Array;
    const kept = bias.slice();
    bias.fill(0);
    bias[0] = 1e6; // everything is a zero now
    const zeros = await score(module);
    expect(zeros).toBeLessThan(0.3);
    expect(await score(space)).toBe(zeros);
    bias.set(kept);
    expect(await score(module)).toBe(before);
  });
});

it("follows the mode, and refuses a closed module", async () => {
  const module = (await Module.load(fixture("digits_resnet"))).eval();
  const score = topKAccuracy(loader, { maxBatches: 1 });
  const before = await score(module);
  const output = (await module.train().forward(images)) as Tensor; // moves the running statistics
  output.close();
  const { tensor } = module.namedBuffers()[0] as { tensor: Tensor };
  tensor.close();
  const own = (await module.eval().forward(images)) as Tensor;
  const pair = TensorDataLoader.fromTensors([images, own], { batchSize: images.shape[0] as number });
  expect(-(await meanSquaredError(pair)(module))).toBeLessThan(1e-6);
  expect(before).toBeGreaterThan(0.5);
  module.close();
  await expectCode("ERR_CLOSED", () => score(module));
});

it("sets the threads of the native thread", async () => {
  const before = getThreads();
  setThreads(1);
  expect(getThreads()).toBe(1);
  setThreads(before);
  for (const bad of [0, 1.5, -1, 5000, "2" as never]) await expectCode("ERR_ARGUMENT", () => setThreads(bad));
});
