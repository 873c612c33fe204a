/** Which residual blocks may be left out, where the user wants few: those that the outputs miss least. */
import { closeTensors, isTensor } from "../data/raw-tensor";
import { decodeElement } from "../model/dtype";
import { forwardNative } from "../model/forward";
import { splitInputs } from "../model/inputs";
import type { NativeSearchSpace } from "../native/types/search-space";
import { Breather } from "../util/breather";
import { isRecord } from "../util/check";
import type { ControlledHyperparameter } from "./width-control";

/** Keeps all blocks but the `most` that the outputs on the dummy input miss least; leaves the full model selected. */
export async function keepBlocks(
  native: NativeSearchSpace,
  controlled: readonly ControlledHyperparameter[],
  most: number,
  dummyInput: unknown,
  signal: AbortSignal | null,
): Promise<ControlledHyperparameter[]> {
  const blocks = controlled.filter(({ kind, choices }) => kind === "depth" && choices.length > 1);
  const count = blocks.reduce((sum, { natives }) => sum + natives.length, 0);
  if (count <= most) return [...controlled];
  const { args, kwargs } = splitInputs(dummyInput);
  const full = native.active();
  const outputsOf = async (): Promise<number[]> => {
    const output = await forwardNative(native, args, kwargs, { signal });
    try {
      return floatsOf(output);
    } finally {
      closeTensors(output);
    }
  };
  const whole = await outputsOf();
  const damages: { name: string; damage: number; count: number }[] = [];
  const breather = new Breather();
  try {
    for (const { name, natives } of blocks) {
      native.select(full.map((width, at) => (natives.includes(at) ? 0 : width)));
      damages.push({ name, damage: squaredDistance(await outputsOf(), whole), count: natives.length });
      await breather.breathe();
    }
  } finally {
    if (!native.closed) native.select(full);
  }
  damages.sort((a, b) => a.damage - b.damage);
  const dispensable = new Set<string>();
  let left = most;
  for (const { name, count: together } of damages) {
    if (together > left) continue; // tied blocks are left out together
    dispensable.add(name);
    left -= together;
  }
  return controlled.map((each) =>
    each.kind === "depth" && each.choices.length > 1 && !dispensable.has(each.name)
      ? { ...each, choices: [1], fixed: `maxLeftOut allows ${most}, and others are missed less` }
      : each,
  );
}

/** All floating numbers of an output, however nested. */
function floatsOf(value: unknown): number[] {
  if (isTensor(value)) {
    const { dtype } = value;
    if (!dtype.includes("float")) return [];
    return Array.from(value.data() as ArrayLike<number>, (element) => Number(decodeElement(element, dtype)));
  }
  if (Array.isArray(value)) return value.flatMap(floatsOf);
  return isRecord(value) ? Object.values(value).flatMap(floatsOf) : [];
}

function squaredDistance(a: readonly number[], b: readonly number[]): number {
  // Without a block, outputs may have another length only where lengths follow from values.
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  const sum = a.reduce((total, value, at) => total + (value - (b[at] as number)) ** 2, 0);
  return Number.isNaN(sum) ? Number.POSITIVE_INFINITY : sum;
}
