/** A subnet's recipe: a JSON file by which Python makes the same subnet of the user's own `nn.Module`. */
import { isNativeTensor } from "../native/tensor";
import type { NativeRecipe } from "../native/types/recipe";
import type { NativeTensor } from "../native/types/tensor";
import { writeFileAtomic } from "../util/atomic-file";
import { Breather } from "../util/breather";
import { unwritableFile } from "../util/unwritable";
import type { SubnetConfig } from "./types";

/** What `python/torchsearch_recipe.py` reads; it refuses others. */
const FORMAT = "torchsearch recipe";
const VERSION = 1;

/** Floating-point inputs of more elements are described, not written: element i is (7919 i mod 1000) / 1000. */
const LARGEST_WRITTEN = 4096;

/**
 * Writes a recipe as JSON, a line for each tensor, atomically; lets the event loop go on between lines, and closes the
 * recipe's tensors.
 *
 * @throws `ERR_FILE_WRITE`
 */
export async function writeRecipe(
  file: string,
  recipe: NativeRecipe,
  subnet: Readonly<SubnetConfig>,
): Promise<void> {
  try {
    const lines = await linesOf(recipe, subnet);
    await writeFileAtomic(file, lines).catch((error: unknown) => {
      throw unwritableFile(`The recipe ${file}`, error);
    });
  } finally {
    closeNative(recipe);
  }
}

async function linesOf(recipe: NativeRecipe, subnet: Readonly<SubnetConfig>): Promise<Buffer[]> {
  const { patterned } = recipe;
  const breather = new Breather();
  const lines = [Buffer.from("{\n")];
  const say = async (text: string): Promise<void> => {
    lines.push(Buffer.from(text));
    await breather.breathe();
  };
  const list = async <T>(key: string, items: readonly T[], write: (item: T) => unknown): Promise<void> => {
    await say(`"${key}": [\n`);
    for (const [at, item] of items.entries())
      await say(`${JSON.stringify(write(item))}${at + 1 < items.length ? "," : ""}\n`);
    await say("],\n");
  };
  await say(`"format": ${JSON.stringify(FORMAT)},\n"version": ${VERSION},\n`);
  await say(`"subnet": ${JSON.stringify(subnet)},\n`);
  await list("blocks", recipe.blocks, (block) => block);
  await list("numbers", recipe.numbers, (number) => number);
  await list("indices", recipe.indices, (indices) => Array.from(indices));
  await list("tensors", recipe.tensors, ({ name, shape, leftOut, ownValues, values, kept }) => ({
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
  await say(`"check": ${JSON.stringify(check)}\n}\n`);
  return lines;
}

/** Closes every tensor inside. */
function closeNative(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (isNativeTensor(value)) value.close();
  else Object.values(value).forEach(closeNative);
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
