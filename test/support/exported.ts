/** Exported programs that Python makes for a test file, and what they compute there. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { expect } from "vitest";

import { type Input, Tensor } from "../../lib";
import { tensorFromRaw } from "../../lib/data/raw-tensor";
import { readSafetensors } from "../../lib/data/safetensors";
import { numbersOf } from "./tensors";
import { python, root } from "./zoo";

type Nest = { tensor: string } | { dict: Record<string, Nest> } | { items: Nest[] } | { value: unknown };
interface Case {
  sets: { args: Nest[]; kwargs: Record<string, Nest>; outputs: Nest[] }[];
  weights: string[];
}

/** Where the programs of this process's test file are. */
export const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-exported-"));
export const at = (name: string): string => path.join(scratch, name);

/** Has Python export these models, with their outputs. */
export async function makePrograms(names: readonly string[]): Promise<void> {
  const script = path.join(root, "scripts", "fixtures", "exported_programs.py");
  await promisify(execFile)(python, [script, "--out", scratch, ...names]);
}

/** A case's values, with tensors of the library in them. */
export async function caseOf(name: string) {
  const { tensors } = await readSafetensors(at(`${name}.safetensors`));
  const read = (nest: Nest): unknown => {
    if ("tensor" in nest) {
      const raw = tensors.get(nest.tensor);
      if (raw === undefined) throw new Error(`no tensor ${nest.tensor}`);
      return tensorFromRaw(raw);
    }
    if ("items" in nest) return nest.items.map(read);
    if ("dict" in nest)
      return Object.fromEntries(Object.entries(nest.dict).map(([key, value]) => [key, read(value)]));
    return nest.value;
  };
  const { sets, weights } = JSON.parse(readFileSync(at(`${name}.json`), "utf8")) as Case;
  return {
    weights,
    sets: sets.map(({ args, kwargs, outputs }) => ({
      args: args.map(read) as Input[],
      kwargs: Object.fromEntries(Object.entries(kwargs).map(([key, value]) => [key, read(value)])) as Record<
        string,
        Input
      >,
      outputs: outputs.map(read),
    })),
  };
}

/** Tensors as their bits, so that equal means equal to the last one. */
export function bitsOf(value: unknown): unknown {
  if (value instanceof Tensor) {
    const { buffer, byteOffset, byteLength } = value.data();
    const bits = Buffer.from(buffer, byteOffset, byteLength).toString("hex");
    return { dtype: value.dtype, shape: value.shape, bits };
  }
  if (Array.isArray(value)) return value.map(bitsOf);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bitsOf(item)]));
  return value;
}

/** What the export itself was given, and what it gives then. */
export async function firstOf(name: string) {
  const [first] = (await caseOf(name)).sets;
  if (first === undefined) throw new Error(`${name} has no inputs`);
  return first;
}

/** Requires the same nesting, with numbers and tensors' elements within `tolerance`: for outputs of another machine. */
export function expectClose(actual: unknown, expected: unknown, tolerance: number): void {
  if (expected instanceof Tensor && actual instanceof Tensor) {
    expect([actual.dtype, actual.shape]).toEqual([expected.dtype, expected.shape]);
    const wanted = numbersOf(expected).map(Number);
    const off = numbersOf(actual).map((value, i) => Math.abs(Number(value) - (wanted[i] as number)));
    expect(off.length).toBe(wanted.length);
    for (const each of off) expect(each).toBeLessThanOrEqual(tolerance);
  } else if (typeof expected === "object" && expected !== null) {
    expect(Object.keys(actual as object)).toEqual(Object.keys(expected));
    for (const [key, value] of Object.entries(expected))
      expectClose((actual as Record<string, unknown>)[key], value, tolerance);
  } else {
    expect(actual).toEqual(expected);
  }
}
