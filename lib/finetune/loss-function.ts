import { isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import type { Tensor } from "../model/tensor";
import { describe, isRecord } from "../util/check";

/** What a loss written in JavaScript returns for a batch. */
export interface LossAndGradient {
  /** The mean loss of the batch. */
  loss: number;
  /** Its gradient with respect to the output: floats of the output's shape. Closed afterwards. */
  gradient: Tensor;
}

/**
 * A loss written in JavaScript. It returns its gradient too, since JavaScript can't be differentiated. `output` is the
 * first tensor of the model's output, or `logits` or `out` where the output is a record.
 */
export type BatchGradient = (output: Tensor, batch: never) => LossAndGradient | Promise<LossAndGradient>;

/** @throws `ERR_GRADIENT` for a loss without its gradient */
export function requireGradient(value: unknown): LossAndGradient {
  if (isRecord(value) && typeof value.loss === "number" && isTensor(value.gradient))
    return value as unknown as LossAndGradient;
  throw new TorchSearchError(
    "ERR_GRADIENT",
    `expected { loss: number, gradient: Tensor } from lossFunc but received ${describe(value)}: a loss written in ` +
      "JavaScript has to give its gradient with respect to the output too. Compute it by hand, or use a built-in loss.",
  );
}
