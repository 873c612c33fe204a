/** Picking the model's inputs and the target out of a batch. */
import { elementAt } from "../data/data-source";
import { isTensor } from "../data/raw-tensor";
import { type ModelInputs, splitInputs } from "../model/inputs";
import type { Tensor } from "../model/tensor";
import { expected } from "../util/check";
import type { CollectFunction } from "./types";

type Pick = (batch: unknown) => unknown;

/**
 * Picks the model's inputs.
 *
 * @param collectFunc the user's function; null or undefined takes the element at `input`
 * @param input position or name, in a batch, of the inputs
 */
export function inputsPicker(
  collectFunc: CollectFunction | null | undefined,
  input: number | string = 0,
): (batch: unknown) => ModelInputs {
  const collect = (collectFunc ?? ((batch: unknown) => elementAt(batch, input))) as Pick;
  return (batch) => splitInputs(collect(batch));
}

/**
 * Picks the target.
 *
 * @param targetFunc the user's function; null or undefined takes the element at `target`
 * @param target position or name, in a batch, of the target
 * @returns a function that throws `ERR_BATCH` where the target is not a tensor
 */
export function targetPicker(
  targetFunc: CollectFunction | null | undefined,
  target: number | string = 1,
): (batch: unknown) => Tensor {
  const pick = (targetFunc ?? ((batch: unknown) => elementAt(batch, target))) as Pick;
  return (batch) => {
    const picked = pick(batch);
    if (!isTensor(picked)) throw expected("ERR_BATCH", "a tensor", "the target of a batch", picked);
    return picked;
  };
}
