/** The modules of test/fixtures/ioforms, and what PyTorch says they give. */
import { readFileSync } from "node:fs";
import path from "node:path";

import type { DType } from "../../lib";

export interface ExpectedTensor {
  dtype: DType;
  shape: number[];
  /** NaN and infinities do not occur; 64-bit integers are small enough for numbers. */
  values: (number | boolean)[];
  bits?: number[];
}

export const folder = path.join(__dirname, "..", "fixtures", "ioforms");

export function fixture(name: string): string {
  return path.join(folder, name.includes(".") ? name : `${name}.pt`);
}

export const expected = JSON.parse(readFileSync(fixture("expected.json"), "utf8")) as {
  forms: { defaults: unknown[]; keywords: unknown[] };
  convert: { input: ExpectedTensor; output: Record<DType, ExpectedTensor> };
  halves: { input: number[]; float16: number[]; bfloat16: number[] };
  small: {
    input: ExpectedTensor;
    output: ExpectedTensor;
    parameters: Record<string, ExpectedTensor>;
    buffers: Record<string, ExpectedTensor>;
  };
  scores: Record<"logits" | "target" | "dense" | "denseTarget" | "values", ExpectedTensor> &
    Record<"top1" | "top3" | "crossEntropy" | "denseCrossEntropy" | "mse" | "klDivergence", number>;
};
