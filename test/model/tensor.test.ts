import { describe, expect, it } from "vitest";

import { type DType, Module, Tensor, type TypedArray } from "../../lib";
import { expected, fixture } from "../support/ioforms";
import { expectCode, expectTensor } from "../support/tensors";

describe("Tensor.from a typed array", () => {
  const cases: [DType, TypedArray][] = [
    ["uint8", new Uint8Array([0, 1, 255])],
    ["int8", new Int8Array([-128, 0, 127])],
    ["int16", new Int16Array([-32768, 0, 32767])],
    ["int32", new Int32Array([-2147483648, 0, 2147483647])],
    ["int64", new BigInt64Array([-(2n ** 63n), 0n, 2n ** 63n - 1n])],
    ["uint16", new Uint16Array([0, 1, 65535])],
    ["uint32", new Uint32Array([0, 1, 4294967295])],
    ["uint64", new BigUint64Array([0n, 1n, 2n ** 64n - 1n])],
    ["float32", new Float32Array([-1.5, 0, Number.POSITIVE_INFINITY])],
    ["float64", new Float64Array([-1.5, 0, Number.MIN_VALUE])],
  ];

  it.each(cases)("gives %s back, in the same memory", (dtype, array) => {
    const tensor = Tensor.from(array);
    expect(tensor.dtype).toBe(dtype);
    expect(tensor.shape).toEqual([3]);
    expect(tensor.device).toBe("cpu");
    const data = tensor.data();
    expect(data.constructor).toBe(array.constructor);
    expect(data).toEqual(array);
    array[1] = array[0] as never;
    expect(tensor.data()[1]).toBe(array[0]);
    expect(data.buffer).toBe(array.buffer);
  });

  it.each(["float16", "bfloat16"] as const)("takes a Uint16Array as the bits of %s", (dtype) => {
    const bits = new Uint16Array(expected.halves[dtype]);
    const tensor = Tensor.from(bits, [3, 5], { dtype });
    expect(tensor.dtype).toBe(dtype);
    expect(tensor.data()).toEqual(bits);
    expect(tensor.data().buffer).toBe(bits.buffer);
  });

  it("makes bool of 0 and 1 in place, and of other bytes by copying", () => {
    const clean = new Uint8Array([0, 1, 1]);
    expect(Tensor.from(clean, [3], { dtype: "bool" }).data().buffer).toBe(clean.buffer);
    const unclean = Tensor.from(new Uint8Array([0, 7, 255]), [3], { dtype: "bool" });
    expect(unclean.toArray()).toEqual([false, true, true]);
    expect([...unclean.data()]).toEqual([0, 1, 1]);
  });

  it("honours a view's offset, also in several tensors over one buffer", () => {
    const base = new Float32Array([0, 1, 2, 3, 4, 5]);
    const first = Tensor.from(base.subarray(2, 4));
    const second = Tensor.from(base.subarray(2, 6), [2, 2]);
    expect(first.toArray()).toEqual([2, 3]);
    expect(second.toArray()).toEqual([
      [2, 3],
      [4, 5],
    ]);
    first.close();
    expect(second.data().buffer).toBe(base.buffer);
  });

  it("copies shared memory", () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    const tensor = Tensor.from(shared as unknown as Float32Array);
    shared[0] = 5;
    expect(tensor.toArray()).toEqual([0, 0]);
  });

  it("converts to a dtype of another kind", () => {
    expect(Tensor.from(new Float32Array([1, 2]), [2], { dtype: "int64" }).data()).toEqual(
      new BigInt64Array([1n, 2n]),
    );
    expect(Tensor.from(new Int32Array([1, 2]), [2], { dtype: "float64" }).data()).toEqual(
      new Float64Array([1, 2]),
    );
  });

  it("refuses memory that was transferred away", async () => {
    const array = new Float32Array([1, 2]);
    const tensor = Tensor.from(array);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    await expectCode("ERR_CLOSED", () => tensor.data());
  });
});

describe("Tensor.from plain values", () => {
  it("takes shape and dtype from the values", () => {
    const numbers = Tensor.from([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([numbers.shape, numbers.dtype, numbers.size]).toEqual([[2, 3], "float32", 6]);
    expect(numbers.toArray()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(Tensor.from([true, false]).dtype).toBe("bool");
    expect(Tensor.from([1n, -1n]).data()).toEqual(new BigInt64Array([1n, -1n]));
    expect(Tensor.from(2.5).shape).toEqual([]);
    expect(Tensor.from(2.5).item()).toBe(2.5);
    expect(Tensor.from([]).shape).toEqual([0]);
    expect(Tensor.from([[], []]).shape).toEqual([2, 0]);
    expect(Tensor.from([1, 2, 3, 4], [2, 2]).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it.each(["float16", "bfloat16"] as const)("rounds to %s as PyTorch does", (dtype) => {
    const tensor = Tensor.from(expected.halves.input, undefined, { dtype });
    expect([...tensor.data()]).toEqual(expected.halves[dtype]);
  });

  it("refuses what does not fit", async () => {
    await expectCode("ERR_SHAPE", () => Tensor.from([[1, 2], [3]]));
    await expectCode("ERR_SHAPE", () => Tensor.from([1, [2]] as never));
    await expectCode("ERR_SHAPE", () => Tensor.from([[1], 2] as never));
    await expectCode("ERR_SHAPE", () => Tensor.from([1, 2, 3], [2, 2]));
    await expectCode("ERR_SHAPE", () => Tensor.from([1], [-1]));
    await expectCode("ERR_SHAPE", () => Tensor.from([1], [0.5]));
    await expectCode("ERR_SHAPE", () => Tensor.from([1], [2 ** 40, 2 ** 40]));
    await expectCode("ERR_DTYPE", () => Tensor.from([1.5], [1], { dtype: "int32" }));
    await expectCode("ERR_DTYPE", () => Tensor.from([256], [1], { dtype: "uint8" }));
    await expectCode("ERR_DTYPE", () => Tensor.from([1], [1], { dtype: "float" as DType }));
    await expectCode("ERR_DTYPE", () => Tensor.from(new DataView(new ArrayBuffer(4)) as never));
    await expectCode("ERR_INPUT", () => Tensor.from(["a"] as never));
    await expectCode("ERR_INPUT", () => Tensor.from(null as never));
    await expectCode("ERR_SHAPE", () => Tensor.from([1, 2]).item());
  });
});

describe("Tensor memory", () => {
  it("closes: every later use is ERR_CLOSED, but data that was handed out stays", async () => {
    const module = await Module.load(fixture("double"));
    const tensor = (await module.forward(Tensor.from([1, 2, 3]))) as Tensor;
    const data = tensor.data();
    tensor.close();
    tensor.close();
    expect(tensor.closed).toBe(true);
    expect([...data]).toEqual([2, 4, 6]);
    await expectCode("ERR_CLOSED", () => tensor.data());
    await expectCode("ERR_CLOSED", () => tensor.shape);
    await expectCode("ERR_CLOSED", () => tensor.dtype);
    await expectCode("ERR_CLOSED", () => module.forward(tensor));
    const disposed = Tensor.from([1]);
    disposed[Symbol.dispose]();
    expect(disposed.closed).toBe(true);
    module.close();
  });

  it("shows a model's output without copying, twice the same memory", async () => {
    const module = await Module.load(fixture("double"));
    const output = (await module.forward(Tensor.from([1, 2, 3]))) as Tensor;
    const first = output.data();
    const second = output.data();
    expect(second.buffer).toBe(first.buffer);
    first[0] = 42;
    expect(output.toArray()).toEqual([42, 4, 6]);
    module.close();
  });

  it("copies what is not contiguous, in the right order", async () => {
    const module = await Module.load(fixture("transpose"));
    const output = (await module.forward(
      Tensor.from([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    )) as Tensor;
    expect(output.shape).toEqual([3, 2]);
    expect(output.toArray()).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    module.close();
  });

  it("shares a typed array with a model that returns its input", async () => {
    const module = await Module.load(fixture("identity"));
    const array = new Float32Array([1, 2]);
    const output = (await module.forward(Tensor.from(array))) as Tensor;
    expect(output.data().buffer).toBe(array.buffer);
    module.close();
  });

  it("has every dtype's values as PyTorch converts them", async () => {
    const module = await Module.load(fixture("convert"));
    const { input, output } = expected.convert;
    const results = (await module.forward(Tensor.from(input.values as number[]))) as Record<string, Tensor>;
    expect(Object.keys(results)).toEqual(Object.keys(output));
    for (const [dtype, described] of Object.entries(output)) {
      expectTensor(results[dtype], described);
      if (described.bits) expect([...(results[dtype] as Tensor).data()]).toEqual(described.bits);
    }
    module.close();
  });
});
