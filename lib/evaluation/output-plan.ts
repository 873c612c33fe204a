/** How a score reads the model's outputs: decided once, on a first batch, from what the outputs and targets are. */

import type { DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import type { ModelInputs } from "../model/inputs";
import type { Tensor } from "../model/tensor";
import type { NativeScoreKind } from "../native/types/score";
import { listed } from "../util/listed";
import { warn } from "../util/warning";
import { callModel, type ForwardLoopOptions, runForwardLoop } from "./forward-loop";
import {
  areProbabilities,
  type ClassDimension,
  classDimensionOf,
  type PickedOutput,
  pickOutput,
  tensorPaths,
} from "./output-scores";
import type { SearchModel } from "./types";

/** The options of scores that say what is read. */
export interface OutputOptions {
  /**
   * Which tensor of the output is scored, where it is a dictionary or tuple: a name or position, or several of them
   * with dots between. By default the first element, or the entry `logits` or `out`, or the first floating tensor.
   */
  outputKey?: string | null;
  /**
   * Where the classes are: in the `second` dimension of the outputs (`[N, C, …]`) or in the `last` one (`[N, T, V]`). By
   * default the shapes of outputs and targets decide; without targets it is the second.
   */
  classDimension?: ClassDimension | null;
  /** Receives what was decided without being asked for; by default it is a process warning. */
  onNotice?: ((message: string) => void) | null;
}

/** How outputs are read; null means: by the addon's own scores. */
export type OutputPlan = { outputKey: string | null; classes: ClassDimension } | null;

/** A first batch. */
export interface FirstBatch {
  inputs: ModelInputs;
  /** Null where the score has no targets. */
  target: Tensor | null;
}

/** Whether a batch must be looked at before the addon's own score can be trusted with the outputs. */
export function needsLook(kind: NativeScoreKind, target: Tensor | null, options: OutputOptions): boolean {
  if (options.outputKey != null || options.classDimension != null || kind === "klDivergence") return true;
  // [N, T] beside [N, C, T] and [N, T, V] alike.
  return kind !== "meanSquaredError" && target !== null && target.shape.length > 1;
}

/**
 * Looks at the model's output for a first batch, and decides how outputs are read.
 *
 * @throws `ERR_SCORE_INPUT` for outputs that the score says nothing about, and for shapes that can be read in two ways
 */
export async function planOutputs(
  kind: NativeScoreKind,
  model: SearchModel,
  { inputs, target }: FirstBatch,
  options: OutputOptions,
  signal?: AbortSignal | null,
): Promise<OutputPlan> {
  const output = await callModel(model, inputs, signal);
  try {
    const { tensor, path, guessed } = pickAloud(output, options);
    const { shape } = tensor;
    const notice = noticeOf(options);
    const outputKey = options.outputKey ?? (guessed ? path : null);
    const own = outputKey === null ? null : { outputKey, classes: "second" as const };
    if (kind === "meanSquaredError") return own;
    if (kind === "klDivergence") {
      requireColumns(tensor, options.classDimension ?? "second");
      if (options.classDimension == null && shape.length === 3) {
        notice(
          `The outputs are [${shape.join(", ")}]: the softmax of the KL divergence is over their second dimension, as for ` +
            '[N, C, …]. For [N, T, V] say classDimension: "last" (--class-dimension last).',
        );
      }
      return options.classDimension === "last" ? { outputKey, classes: "last" } : own;
    }
    if (target === null) return own;
    if (kind === "crossEntropy" && areProbabilities(tensor, target)) {
      notice(
        "The rows of the targets sum to 1: they are taken as class probabilities, for cross-entropy. meanSquaredError takes them as values.",
      );
      return { outputKey, classes: "second" };
    }
    const classes = options.classDimension ?? classDimensionOf(shape, target.shape);
    return classes === "last" ? { outputKey, classes } : own;
  } finally {
    closeTensors(output);
  }
}

/** The tensor of an output that counts; a guess is said. @throws `ERR_SCORE_INPUT` */
export function pickAloud(output: unknown, options: OutputOptions): PickedOutput {
  const picked = pickOutput(output, options.outputKey);
  if (picked.guessed) {
    noticeOf(options)(
      `The output has the tensors ${listed(tensorPaths(output))}; "${picked.path}", the first floating one, is scored. ` +
        "Name another with outputKey (--output-key).",
    );
  }
  return picked;
}

/** Whether a model's output for the first batch has one column, in evaluation mode. */
export async function givesOneColumn(
  model: SearchModel,
  data: DataSource,
  options: Pick<OutputOptions, "outputKey" | "classDimension"> &
    Pick<ForwardLoopOptions, "collectFunc" | "signal">,
): Promise<boolean> {
  const { outputKey, classDimension, collectFunc, signal } = options;
  const { training } = model;
  let one = false;
  if (training) await model.eval();
  try {
    await runForwardLoop(model, data, {
      maxBatches: 1,
      collectFunc,
      signal,
      postProcess: (output) => {
        one = hasOneColumn(pickOutput(output, outputKey).tensor, classDimension ?? undefined);
      },
    });
  } finally {
    if (training) await model.train(true);
  }
  return one;
}

/** Whether a softmax over an output's classes is always 1, because there is only one. */
function hasOneColumn({ shape }: Tensor, classes: ClassDimension = "second"): boolean {
  return shape.length >= 2 && shape[classes === "last" ? shape.length - 1 : 1] === 1;
}

function requireColumns(output: Tensor, classes: ClassDimension): void {
  if (!hasOneColumn(output, classes)) return;
  throw new TorchSearchError(
    "ERR_SCORE_INPUT",
    `The outputs [${output.shape.join(", ")}] have one column: its softmax is always 1, so the KL divergence of any two ` +
      "models is 0. Compare the outputs themselves: meanSquaredError(data, { teacher }) (--score meanSquaredError).",
  );
}

/** Where notices go. */
export function noticeOf({ onNotice }: OutputOptions): (message: string) => void {
  return onNotice ?? ((message) => warn(message, "SCORE_OUTPUT"));
}
