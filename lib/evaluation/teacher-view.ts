/** How all tensors of a model's outputs are compared with a teacher's: decided on a batch, told to the addon. */

import { closeTensors, isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { decodeElement } from "../model/dtype";
import type { ModelInputs } from "../model/inputs";
import { argumentsOf } from "../model/signature";
import type { Tensor } from "../model/tensor";
import { isRecord } from "../util/check";
import { callModel } from "./forward-loop";
import type { SearchModel } from "./types";

/**
 * What the numbers of a tensor are, and so how two models' are compared:
 * - `logits`: by the Kullback-Leibler divergence of their softmax over the classes;
 * - `distribution`: rows that sum to 1, by the same divergence of the rows themselves;
 * - `probabilities`: numbers from 0 to 1, each by the divergence of its own, as a share of that from the columns' means;
 * - `features`: by the squared difference, as a share of the teacher's variance;
 * - `ignored`: not at all.
 */
export type OutputKind = "logits" | "distribution" | "probabilities" | "features" | "ignored";

/** Every {@link OutputKind}. */
export const OUTPUT_KINDS: readonly OutputKind[] = [
  "logits",
  "distribution",
  "probabilities",
  "features",
  "ignored",
];

/** How whole outputs are compared. */
export interface TeacherView {
  /** Of each floating tensor of the outputs, in their order. */
  kinds: readonly OutputKind[];
  /** The input whose numbers other than 0 say which positions of outputs `[N, T, …]` count; null for none. */
  mask: number | string | null;
}

/** What the user says of outputs: `classes`, `features`, or `auto` to let the first batch decide. */
export type OutputMeaning = "auto" | "classes" | "features";

/** The floating tensors of an output, however nested, in its order. */
export function floatingTensors(value: unknown): Tensor[] {
  if (isTensor(value)) return value.dtype.includes("float") ? [value] : [];
  if (Array.isArray(value)) return value.flatMap(floatingTensors);
  return isRecord(value) ? Object.values(value).flatMap(floatingTensors) : [];
}

/**
 * Runs the teacher on a batch, and decides how outputs are compared with its own.
 *
 * @throws `ERR_OUTPUT` where the outputs have no floating tensor
 */
export async function viewTeacher(
  teacher: SearchModel,
  inputs: ModelInputs,
  meaning: OutputMeaning,
  signal: AbortSignal | null,
): Promise<TeacherView> {
  const output = await callModel(teacher, inputs, signal);
  try {
    const tensors = floatingTensors(output);
    if (tensors.length === 0) {
      throw new TorchSearchError(
        "ERR_OUTPUT",
        "The model's output has no floating tensor, so nothing can be learned from the full model: wrap the model so " +
          "that forward returns its logits or features, and compress that.",
      );
    }
    const kinds = tensors.map((tensor) => kindOf(tensor, meaning, tensors.length === 1));
    return { kinds, mask: maskAmong(teacher, inputs, tensors) };
  } finally {
    closeTensors(output);
  }
}

/** The kind of one tensor, from its numbers. */
function kindOf(tensor: Tensor, meaning: OutputMeaning, alone: boolean): OutputKind {
  if (meaning === "features") return "features";
  const { shape } = tensor;
  const columns = shape.length === 2 ? (shape[1] as number) : 1;
  const values = numbersOf(tensor);
  const bounded = values.every((value) => value >= 0 && value <= 1);
  if (bounded && values.some((value) => value > 0 && value < 1))
    return columns > 1 && rowsGive(values, columns, (value) => value) ? "distribution" : "probabilities";
  if (meaning === "classes") return columns > 1 ? "logits" : "features";
  // Vectors of length 1 are embeddings.
  const embeds = columns > 1 && rowsGive(values, columns, (value) => value * value);
  return alone && columns > 1 && !embeds ? "logits" : "features";
}

/** Whether what each row sums up to is 1. */
function rowsGive(values: Float64Array, columns: number, term: (value: number) => number): boolean {
  for (let from = 0; from < values.length; from += columns) {
    let sum = 0;
    for (let at = from; at < from + columns; at++) sum += term(values[at] as number);
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

/** An input that is called a mask, and has the shape of some outputs' first two dimensions. */
function maskAmong(
  teacher: SearchModel,
  { args, kwargs }: ModelInputs,
  outputs: readonly Tensor[],
): TeacherView["mask"] {
  const isMask = (name: string, value: unknown): boolean =>
    /^(attention_|input_)?mask$/.test(name) &&
    isTensor(value) &&
    value.shape.length === 2 &&
    outputs.some(
      ({ shape }) => shape.length >= 3 && shape[0] === value.shape[0] && shape[1] === value.shape[1],
    );
  const named = Object.entries(kwargs).find(([name, value]) => isMask(name, value));
  if (named !== undefined) return named[0];
  const names = "signature" in teacher ? argumentsOf(String(teacher.signature)) : [];
  const at = args.findIndex((value, position) => isMask(names[position]?.name ?? "", value));
  return at < 0 ? null : at;
}

/** A tensor's numbers. */
export function numbersOf(tensor: Tensor): Float64Array {
  const { dtype } = tensor;
  return Float64Array.from(tensor.data() as ArrayLike<number | bigint>, (element) =>
    Number(decodeElement(element, dtype)),
  );
}
