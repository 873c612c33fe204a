import { expect } from "vitest";

import { Tensor, TorchSearchError } from "../../lib";
import type { ExpectedTensor } from "./ioforms";

/** A tensor that a fixture describes. */
export function tensorOf(described: ExpectedTensor): Tensor {
  const values = described.dtype === "int64" ? described.values.map(BigInt) : described.values;
  return Tensor.from(values, described.shape, { dtype: described.dtype });
}

/** The elements as plain numbers, row by row. */
export function numbersOf(tensor: Tensor): (number | boolean)[] {
  const flat = ([tensor.toArray()] as unknown[]).flat(16) as (number | bigint | boolean)[];
  return flat.map((value) => (typeof value === "bigint" ? Number(value) : value));
}

/** Compares with what PyTorch gave; exactly unless a tolerance is given. */
export function expectTensor(value: unknown, described: ExpectedTensor, tolerance = 0): void {
  expect(value).toBeInstanceOf(Tensor);
  const tensor = value as Tensor;
  expect(tensor.shape).toEqual(described.shape);
  expect(tensor.dtype).toBe(described.dtype);
  const numbers = numbersOf(tensor);
  if (tolerance === 0) {
    expect(numbers).toEqual(described.values);
    return;
  }
  const errors = numbers.map((number, i) => Math.abs(Number(number) - Number(described.values[i])));
  expect(errors.length).toBe(described.values.length);
  expect(Math.max(...errors)).toBeLessThanOrEqual(tolerance);
}

/** Expects a TorchSearchError of this code; gives it for a look at the message. */
export async function expectCode(code: string, run: () => unknown): Promise<TorchSearchError> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(TorchSearchError);
    expect((error as TorchSearchError).code).toBe(code);
    return error as TorchSearchError;
  }
  throw new Error(`expected ${code}, but nothing was thrown`);
}
