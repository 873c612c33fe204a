/** How good a model is on held-out data: by labels, or by how near it is to the full model. */
import type { DataSource } from "../data/data-source";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { callModel, forEachBatch } from "../evaluation/forward-loop";
import { inputsPicker, targetPicker } from "../evaluation/pickers";
import { topKAccuracy } from "../evaluation/scores";
import {
  floatingTensors,
  numbersOf,
  type OutputMeaning,
  type TeacherView,
  viewTeacher,
} from "../evaluation/teacher-view";
import type { CollectFunction } from "../evaluation/types";
import type { ModelInputs } from "../model/inputs";
import type { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import { dropInterval, type Interval, pairedInterval } from "./interval";

/**
 * How a model is rated; each is a share, of which 1 is the best:
 * - `accuracy`: of the labels that it finds;
 * - `fit`: of the targets' variance that its outputs explain;
 * - `agreement`: without labels, of the samples with the full model's first choice;
 * - `fidelity`: without labels, of the variance of the full model's outputs that its own explain.
 */
export type RatingKind = "accuracy" | "fit" | "agreement" | "fidelity";

/** What the kinds are called in tables; the last two say that no label was seen. */
export const RATING_TITLES: Readonly<Record<RatingKind, string>> = {
  accuracy: "accuracy",
  fit: "explained variance of the targets",
  agreement: "agreement with the full model (no labels)",
  fidelity: "explained variance of the full model's outputs (no labels)",
};

/** A model's rating. */
export interface Rating {
  value: number;
  samples: number;
  /** By batch. */
  batches: number[];
}

/** Held-out data, and how they are read. */
export interface RatedData {
  data: DataSource;
  collectFunc: CollectFunction | null;
  targetFunc: CollectFunction | null;
  /** What is minimized on labelled data; null without labels. */
  loss: "crossEntropy" | "meanSquaredError" | null;
  /** What the outputs are. */
  outputs: OutputMeaning;
  signal: AbortSignal | null;
}

/** Rates models on held-out data beside the full model. */
export class Rater {
  private constructor(
    readonly kind: RatingKind,
    readonly full: Rating,
    private readonly module: Module,
    private readonly rated: RatedData,
    /** How outputs are compared with the full model's, without labels. */
    readonly view: TeacherView,
  ) {}

  /**
   * Rates the full model, and decides how all others are rated.
   *
   * @throws `ERR_OUTPUT` where the outputs have no floating tensor; `ERR_SCORE_NAN`; errors of data and forwards
   */
  static async of(module: Module, rated: RatedData): Promise<Rater> {
    const view = await viewOf(module, rated);
    const kind = kindOf(rated, view);
    return new Rater(kind, await rate(kind, module, module, rated, view), module, rated, view);
  }

  /** Whether ratings compare with labels. */
  get labelled(): boolean {
    return this.kind === "accuracy" || this.kind === "fit";
  }

  /** Rates a model. */
  of(model: Module): Promise<Rating> {
    return rate(this.kind, model, this.module, this.rated, this.view);
  }

  /** How far a rating is below the full model's, with its interval of 95 %; null where there is one batch only. */
  dropOf(rating: Rating): { drop: number; interval: Interval | null } {
    const drop = this.full.value - rating.value;
    const interval =
      this.kind === "accuracy" || this.kind === "agreement"
        ? dropInterval(this.full.value, rating.value, rating.samples)
        : pairedInterval(this.full.batches.map((value, at) => value - (rating.batches[at] as number)));
    return { drop, interval };
  }
}

/** Agreement is for classes `[N, C]`; everything else without labels is compared number by number. */
function kindOf({ loss }: RatedData, { kinds }: TeacherView): RatingKind {
  if (loss !== null) return loss === "crossEntropy" ? "accuracy" : "fit";
  const [first] = kinds;
  return kinds.length === 1 && (first === "logits" || first === "distribution") ? "agreement" : "fidelity";
}

/** How outputs are compared with the full model's, as the first batch shows. */
async function viewOf(module: Module, rated: RatedData): Promise<TeacherView> {
  const { data, collectFunc, outputs, signal } = rated;
  const inputsOf = inputsPicker(collectFunc);
  let view: TeacherView = { kinds: [], mask: null };
  const { training } = module;
  module.eval();
  try {
    await forEachBatch("score", data, { maxBatches: 1, signal, silent: true }, async (batch) => {
      view = await viewTeacher(module, inputsOf(batch), outputs, signal);
    });
  } finally {
    if (training) module.train();
  }
  return view;
}

/** How a batch counts: a sum, and what it is divided by. */
interface Part {
  sum: number;
  count: number;
}

async function rate(
  kind: RatingKind,
  model: Module,
  full: Module,
  rated: RatedData,
  view: TeacherView,
): Promise<Rating> {
  const { data, collectFunc, targetFunc, signal } = rated;
  const inputsOf = inputsPicker(collectFunc);
  const targetOf = targetPicker(targetFunc);
  const batches: number[] = [];
  const total = { missed: 0, of: 0, samples: 0 };
  const modes = [...new Set([model, full])].map((each) => [each, each.training] as const);
  for (const [each] of modes) each.eval();
  try {
    await forEachBatch("score", data, { signal, silent: true }, async (batch) => {
      const inputs = inputsOf(batch);
      const samples = samplesOf(inputs);
      total.samples += samples;
      const add = ({ sum, count }: Part): void => {
        total.missed += sum;
        total.of += count;
        batches.push(count === 0 ? 1 : 1 - sum / count);
      };
      if (kind === "accuracy") {
        const score = await topKAccuracy([batch], { collectFunc, targetFunc })(model, { signal });
        return add({ sum: samples * (1 - score), count: samples });
      }
      const output = await callModel(model, inputs, signal);
      const reference = kind === "fit" || model === full ? null : await callModel(full, inputs, signal);
      try {
        if (kind === "fit") add(unexplained([floatingTensors(output)[0] as Tensor], [targetOf(batch)]));
        else {
          const others = floatingTensors(reference ?? output);
          const own = floatingTensors(output);
          add(
            kind === "agreement"
              ? disagreement(own[0] as Tensor, others[0] as Tensor)
              : unexplained(own, others, maskOf(view, inputs)),
          );
        }
      } finally {
        closeTensors([output, reference]);
      }
    });
  } finally {
    for (const [each, training] of modes) if (training) each.train();
  }
  const value = total.of === 0 ? 1 : 1 - total.missed / total.of;
  if (Number.isFinite(value)) return { value, samples: total.samples, batches };
  throw new TorchSearchError(
    "ERR_SCORE_NAN",
    "The model's outputs on the held-out data are not finite: check these data, and the model on them.",
  );
}

/** Samples whose largest logit is another than the reference's. */
function disagreement(output: Tensor, reference: Tensor): Part {
  const [rows, columns] = output.shape as [number, number];
  const [own, others] = [numbersOf(output), numbersOf(reference)];
  let sum = 0;
  for (let row = 0; row < rows; row++)
    if (largest(own, row * columns, columns) !== largest(others, row * columns, columns)) sum += 1;
  return { sum, count: rows };
}

function largest(values: Float64Array, from: number, count: number): number {
  let best = 0;
  for (let at = 1; at < count; at++)
    if ((values[from + at] as number) > (values[from + best] as number)) best = at;
  return best;
}

/** Which positions of outputs `[N, T, …]` count. */
interface Mask {
  shape: readonly number[];
  values: Float64Array;
}

function maskOf({ mask }: TeacherView, { args, kwargs }: ModelInputs): Mask | null {
  const tensor = mask === null ? null : typeof mask === "number" ? args[mask] : kwargs[mask];
  return isTensor(tensor) ? { shape: tensor.shape, values: numbersOf(tensor) } : null;
}

/** The numbers of a tensor that count: all, or those at the positions that a mask names. */
function countedOf(tensor: Tensor, mask: Mask | null): Float64Array {
  const values = numbersOf(tensor);
  const { shape } = tensor;
  const isMasked =
    mask !== null &&
    shape.length >= 3 &&
    mask.shape.length === 2 &&
    mask.shape.every((size, d) => size === shape[d]);
  if (!isMasked) return values;
  const each = values.length / mask.values.length;
  return values.filter((_, at) => mask.values[Math.floor(at / each)] !== 0);
}

/** The squared differences from the references, and the references' own squared deviations from their means. */
function unexplained(
  outputs: readonly Tensor[],
  references: readonly Tensor[],
  mask: Mask | null = null,
): Part {
  let sum = 0;
  let count = 0;
  references.forEach((reference, at) => {
    const output = outputs[at];
    if (output === undefined || output.size !== reference.size) {
      throw new TorchSearchError(
        "ERR_SCORE_INPUT",
        `An output has shape [${output?.shape.join(", ") ?? "none"}], but what it is compared with has [${reference.shape.join(", ")}]: ` +
          "give targets of the outputs' shape, or none to compare with the full model.",
      );
    }
    const [own, others] = [countedOf(output, mask), countedOf(reference, mask)];
    const mean = others.reduce((all, value) => all + value, 0) / others.length;
    let [missed, spread] = [0, 0];
    for (let i = 0; i < own.length; i++) {
      missed += ((own[i] as number) - (others[i] as number)) ** 2;
      spread += ((others[i] as number) - mean) ** 2;
    }
    // Each tensor counts the same, whatever its scale.
    const scale = spread === 0 ? 1 : spread / others.length;
    sum += missed / scale;
    count += others.length;
  });
  return { sum, count };
}

/** The number of samples in a batch: the first dimension of the first tensor among the inputs; 1 without tensors. */
function samplesOf({ args, kwargs }: ModelInputs): number {
  const tensor = [...args, ...Object.values(kwargs)].find(isTensor);
  return tensor?.shape[0] ?? 1;
}
