/** A subnet's recipe: a JSON file by which Python makes the same subnet of the user's own `nn.Module`. */
import { TorchSearchError } from "../errors";
import { isNativeTensor } from "../native/tensor";
import type { NativeRecipe } from "../native/types/recipe";
import type { NativeTensor } from "../native/types/tensor";
import { writeFileAtomic } from "../util/atomic-file";
import type { SubnetConfig } from "./types";

/** What `python/torchsearch_recipe.py` reads; it refuses others. */
const FORMAT = "torchsearch recipe";
const VERSION = 1;

/** Floating-point inputs of more elements are described, not written: element i is (7919 i mod 1000) / 1000. */
const LARGEST_WRITTEN = 4096;

/** The recipe as a JSON text, a line for each tensor. */
export function recipeText(recipe: NativeRecipe, subnet: Readonly<SubnetConfig>): string {
  const { patterned } = recipe;
  const tensors = recipe.tensors.map(({ name, shape, leftOut, ownValues, values, kept }) => ({
    name,
    shape,
    ...(leftOut && { leftOut }),
    ...(ownValues && { ownValues: values === null ? true : tensorOf(values, false) }),
    ...(kept.length > 0 && { keep: Object.fromEntries(kept.map((one) => [one.dimension, one.indices])) }),
  }));
  const check = {
    args: recipe.args.map((value) => inputOf(value, patterned)),
    kwargs: inputOf(recipe.kwargs, patterned),
    outputs: recipe.outputs.map((sample, at) => ({
      shape: recipe.outputShapes[at],
      ...base64Of(sample),
    })),
  };
  const lines: [string, unknown][] = [
    ["format", FORMAT],
    ["version", VERSION],
    ["subnet", subnet],
    ["blocks", recipe.blocks],
    ["numbers", recipe.numbers],
    ["indices", recipe.indices.map((indices) => Array.from(indices))],
    ["tensors", tensors],
    ["check", check],
  ];
  return `{\n${lines.map(([key, value]) => `${JSON.stringify(key)}: ${textOf(value)}`).join(",\n")}\n}\n`;
}

/**
 * Writes it, atomically.
 *
 * @throws `ERR_FILE_WRITE`
 */
export async function writeRecipe(file: string, text: string): Promise<void> {
  try {
    await writeFileAtomic(file, [Buffer.from(text)]);
  } catch (error) {
    throw new TorchSearchError(
      "ERR_FILE_WRITE",
      `The recipe ${file} can't be written: ${(error as Error).message}. Name a file in a folder that can be written.`,
      { cause: error },
    );
  }
}

/** A list has a line for each item, so that people can read it and compare two. */
function textOf(value: unknown): string {
  if (!Array.isArray(value) || value.length === 0) return JSON.stringify(value);
  return `[\n${value.map((item) => JSON.stringify(item)).join(",\n")}\n]`;
}

function inputOf(value: unknown, patterned: boolean): unknown {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object" || value === null) return value;
  if (isNativeTensor(value)) return tensorOf(value, patterned);
  if (Array.isArray(value)) return value.map((item) => inputOf(item, patterned));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inputOf(item, patterned)]));
}

function tensorOf(tensor: NativeTensor, patterned: boolean): unknown {
  const { shape, dtype } = tensor;
  const elements = shape.reduce((product, size) => product * size, 1);
  return patterned && /float/.test(dtype) && elements > LARGEST_WRITTEN
    ? { dtype, shape, pattern: true }
    : { dtype, shape, ...base64Of(tensor) };
}

/** A tensor's elements, little-endian. */
function base64Of(tensor: NativeTensor): { base64: string } {
  const data = tensor.data();
  return { base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
}
