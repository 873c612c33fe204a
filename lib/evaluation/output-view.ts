/** Which tensor of an output losses are of, and where its classes are: decided on a batch, told to the addon. */

import { closeTensors } from "../data/raw-tensor";
import type { ModelInputs } from "../model/inputs";
import type { Tensor } from "../model/tensor";
import { callModel } from "./forward-loop";
import type { OutputOptions } from "./output-plan";
import { noticeOf, pickAloud } from "./output-plan";
import { classDimensionOf } from "./output-scores";
import type { SearchModel } from "./types";

/** How the addon reads outputs; null stands for its own rule. */
export type OutputView = Required<Pick<OutputOptions, "outputKey" | "classDimension">>;

/** A batch, and what its loss compares outputs with. */
export interface ViewedBatch {
  inputs: ModelInputs;
  /** Null where there is none, or where its shape doesn't matter. */
  target: Tensor | null;
  /** Whether the loss is of classes. */
  classes: boolean;
}

/**
 * Runs the model on a batch, in evaluation mode, and decides how its outputs are read.
 *
 * @throws `ERR_SCORE_INPUT` for a key that the output doesn't have, and for shapes that can be read in two ways
 */
export async function viewOutputs(
  model: SearchModel,
  { inputs, target, classes }: ViewedBatch,
  options: OutputOptions,
  signal?: AbortSignal | null,
): Promise<OutputView> {
  const { training } = model;
  let output: unknown;
  if (training) await model.eval();
  try {
    output = await callModel(model, inputs, signal);
    const { tensor, path, guessed } = pickAloud(output, options);
    const outputKey = options.outputKey ?? (guessed ? path : null);
    return { outputKey, classDimension: classes ? dimensionOf(tensor, target, options) : null };
  } finally {
    closeTensors(output);
    if (training) await model.train(true);
  }
}

function dimensionOf(
  { shape }: Tensor,
  target: Tensor | null,
  options: OutputOptions,
): OutputView["classDimension"] {
  const { classDimension = null } = options;
  if (classDimension !== null || shape.length < 3) return classDimension;
  if (target !== null) return /int/.test(target.dtype) ? classDimensionOf(shape, target.shape) : null;
  noticeOf(options)(
    `The outputs are [${shape.join(", ")}]: their classes are taken to be in the second dimension, as for [N, C, …]. For ` +
      '[N, T, V] say classDimension: "last" (--class-dimension last).',
  );
  return null;
}
