/**
 * Scores of outputs that the addon's scores don't take: a named part of the output, classes in the last dimension, and
 * targets that are class probabilities. Sums are in float64.
 */

import { isTensor } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { decodeElement } from "../model/dtype";
import type { Tensor } from "../model/tensor";
import type { NativeScoreKind } from "../native/types/score";
import { isRecord } from "../util/check";
import { listed } from "../util/listed";

/** Where the classes of an output are: in its second dimension, as in `[N, C, …]`, or in its last one. */
export type ClassDimension = "second" | "last";

/** The label of samples that cross-entropy leaves out, as in PyTorch. */
const IGNORED = -100;
/** How far the sum of a sample's probabilities may be from 1. */
const TOLERANCE = 1e-3;

/** A part of a batch's score. */
export interface ScorePart {
  sum: number;
  /** What the sum is divided by. */
  count: number;
}

/** A tensor of an output, and how it was found. */
export interface PickedOutput {
  tensor: Tensor;
  /** Its path in the output, such as `out` or `heads.0`; empty for an output that is a tensor. */
  path: string;
  /** Whether it was taken for want of a better rule: it is the first floating tensor of several. */
  guessed: boolean;
}

function misfit(message: string): TorchSearchError {
  return new TorchSearchError("ERR_SCORE_INPUT", message);
}

/**
 * The tensor of an output that is scored. Without a key it is the output itself, the first element of a tuple or list,
 * the entry `logits` or `out` of a dictionary, its only entry, or else the first floating tensor in it.
 *
 * @param key the name or position of an element; elements of elements are separated by dots
 * @throws `ERR_SCORE_INPUT`
 */
export function pickOutput(output: unknown, key?: string | null): PickedOutput {
  if (key != null) {
    let found: unknown = output;
    for (const part of key.split(".")) found = elementOf(found, part);
    if (isTensor(found)) return { tensor: found, path: key, guessed: false };
    throw misfit(
      `The output has no tensor "${key}"; it has ${listed(tensorPaths(output))}. Name one of them as the output key.`,
    );
  }
  return usual(output, "") ?? firstFloating(output);
}

function elementOf(value: unknown, part: string): unknown {
  if (Array.isArray(value) && /^\d+$/.test(part)) return value[Number(part)];
  return isRecord(value) && Object.hasOwn(value, part) ? value[part] : undefined;
}

/** By the rules that the addon's scores have too; null where none applies. */
function usual(output: unknown, path: string): PickedOutput | null {
  if (isTensor(output)) return { tensor: output, path, guessed: false };
  const [name, inner] = Array.isArray(output)
    ? ["0", output[0]]
    : isRecord(output)
      ? (["logits", "out"].map((each) => [each, output[each]]).find(([, value]) => value !== undefined) ??
        (Object.keys(output).length === 1 ? (Object.entries(output)[0] as [string, unknown]) : ["", null]))
      : ["", null];
  return inner == null ? null : usual(inner, path === "" ? String(name) : `${path}.${name}`);
}

function firstFloating(output: unknown): PickedOutput {
  const all = tensorsOf(output);
  const found = all.find(({ tensor }) => tensor.dtype.includes("float"));
  if (found === undefined) throw misfit("The model's output has no floating tensor that could be scored.");
  return { ...found, guessed: all.length > 1 };
}

function tensorsOf(value: unknown, path = ""): { tensor: Tensor; path: string }[] {
  if (isTensor(value)) return [{ tensor: value, path }];
  if (!Array.isArray(value) && !isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    tensorsOf(inner, path === "" ? key : `${path}.${key}`),
  );
}

/** The paths of the tensors in an output. */
export function tensorPaths(output: unknown): string[] {
  return tensorsOf(output).map(({ path }) => path);
}

/**
 * Where the classes of an output are, by the shapes of output and targets.
 *
 * @throws `ERR_SCORE_INPUT` when the shapes fit neither, or both
 */
export function classDimensionOf(output: readonly number[], target: readonly number[]): ClassDimension {
  const same = (rest: readonly number[]): boolean =>
    rest.length === target.length && rest.every((size, at) => size === target[at]);
  const second = output.length >= 2 && same([...output.slice(0, 1), ...output.slice(2)]);
  const last = output.length >= 3 && same(output.slice(0, -1));
  if (second && last && output.length > 2) {
    throw misfit(
      `The classes of outputs ${list(output)} can be in the second dimension or in the last one: targets ${list(target)} fit both. ` +
        'Say which with classDimension: "second" or "last" (--class-dimension).',
    );
  }
  if (second) return "second";
  if (last) return "last";
  throw misfit(
    `The target has shape ${list(target)}, but outputs of shape ${list(output)} need ` +
      `${list([...output.slice(0, 1), ...output.slice(2)])}${output.length > 2 ? ` or, with the classes in the last dimension, ${list(output.slice(0, -1))}` : ""}.`,
  );
}

/** Whether targets are class probabilities for an output: floats of its shape `[N, C]`, with rows that sum to 1. */
export function areProbabilities(output: Tensor, target: Tensor): boolean {
  const { shape } = target;
  if (!target.dtype.includes("float") || shape.length !== 2 || !sameShape(output.shape, shape)) return false;
  return rowsSumToOne(numbersOf(target), shape[1] as number);
}

/** Whether values are at least 0, and sum to 1 in each row of `columns`. */
export function rowsSumToOne(values: ArrayLike<number>, columns: number): boolean {
  if (columns < 2 || values.length === 0) return false;
  for (let row = 0; row < values.length; row += columns) {
    let sum = 0;
    for (let c = 0; c < columns; c++) {
      const value = values[row + c] as number;
      if (!(value >= 0)) return false;
      sum += value;
    }
    if (!(Math.abs(sum - 1) <= TOLERANCE)) return false;
  }
  return true;
}

/** How {@link scorePart} scores. */
export interface OutputScoring {
  kind: NativeScoreKind;
  classes: ClassDimension;
  /** For `topKAccuracy`. */
  k: number;
}

/**
 * The score of one batch.
 *
 * @param reference the targets, or the other model's output
 * @throws `ERR_SCORE_INPUT`, `ERR_SCORE_NAN`
 */
export function scorePart(output: Tensor, reference: Tensor, { kind, classes, k }: OutputScoring): ScorePart {
  if (!output.dtype.includes("float"))
    throw misfit(`The output that is scored must hold floats, but holds ${output.dtype}.`);
  const part =
    kind === "meanSquaredError"
      ? squaredError(output, reference)
      : kind === "klDivergence"
        ? divergence(output, reference, classes)
        : kind === "topKAccuracy"
          ? topK(output, reference, classes, k)
          : reference.dtype.includes("float")
            ? probabilityLoss(output, reference)
            : labelLoss(output, reference, classes);
  if (Number.isFinite(part.sum)) return part;
  throw new TorchSearchError(
    "ERR_SCORE_NAN",
    `The score is not a finite number (${part.sum}); check the model's output, its input and the target.`,
  );
}

/** An output as positions of classes: class `c` of the position `p` is at `start(p) + c * stride`. */
interface Positions {
  values: ArrayLike<number>;
  count: number;
  classes: number;
  stride: number;
  start(position: number): number;
}

function positionsOf(output: Tensor, dimension: ClassDimension): Positions {
  const { shape } = output;
  const at = dimension === "last" ? shape.length - 1 : 1;
  if (shape.length < 2)
    throw misfit(`This score needs outputs with classes, but the output is ${list(shape)}.`);
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  const [outer, classes, stride] = [
    product(shape.slice(0, at)),
    shape[at] as number,
    product(shape.slice(at + 1)),
  ];
  const start = (position: number): number =>
    Math.floor(position / stride) * classes * stride + (position % stride);
  return { values: numbersOf(output), count: outer * stride, classes, stride, start };
}

function logSumOf({ values, classes, stride }: Positions, start: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) largest = Math.max(largest, values[start + c * stride] as number);
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += Math.exp((values[start + c * stride] as number) - largest);
  return largest + Math.log(sum);
}

/** The labels of an output's positions. */
function labelsOf(output: Tensor, target: Tensor, dimension: ClassDimension): ArrayLike<number> {
  if (!/int/.test(target.dtype)) throw misfit("This score needs class indices as an integer (int64) target.");
  const { shape } = output;
  const needed = shape.filter((_, at) => at !== (dimension === "last" ? shape.length - 1 : 1));
  if (!sameShape(target.shape, needed))
    throw misfit(
      `The target has shape ${list(target.shape)}, but outputs of shape ${list(shape)} need ${list(needed)}.`,
    );
  return numbersOf(target);
}

function labelLoss(output: Tensor, target: Tensor, dimension: ClassDimension): ScorePart {
  const labels = labelsOf(output, target, dimension);
  const positions = positionsOf(output, dimension);
  const part = { sum: 0, count: 0 };
  for (let p = 0; p < positions.count; p++) {
    const label = labels[p] as number;
    if (label === IGNORED) continue;
    if (label < 0 || label >= positions.classes)
      throw misfit(`The target holds a class index outside of 0 to ${positions.classes - 1}.`);
    const start = positions.start(p);
    part.sum += logSumOf(positions, start) - (positions.values[start + label * positions.stride] as number);
    part.count += 1;
  }
  return part;
}

/** The cross-entropy with class probabilities, as `torch.nn.functional.cross_entropy` computes it. */
function probabilityLoss(output: Tensor, target: Tensor): ScorePart {
  if (!areProbabilities(output, target)) {
    throw misfit(
      `Cross-entropy needs class indices, or class probabilities: floats of the output's shape ${list(output.shape)} whose rows ` +
        `sum to 1. The target is ${target.dtype} ${list(target.shape)}.`,
    );
  }
  const positions = positionsOf(output, "second");
  const wanted = numbersOf(target);
  let sum = 0;
  for (let p = 0; p < positions.count; p++) {
    const start = positions.start(p);
    const logSum = logSumOf(positions, start);
    for (let c = 0; c < positions.classes; c++) {
      const probability = wanted[start + c] as number;
      if (probability !== 0) sum += probability * (logSum - (positions.values[start + c] as number));
    }
  }
  return { sum, count: positions.count };
}

function topK(output: Tensor, target: Tensor, dimension: ClassDimension, k: number): ScorePart {
  const labels = labelsOf(output, target, dimension);
  const positions = positionsOf(output, dimension);
  const { values, classes, stride } = positions;
  if (k > classes)
    throw misfit(`Top-${k} accuracy needs at least that many classes, but the model gives ${classes}.`);
  let sum = 0;
  for (let p = 0; p < positions.count; p++) {
    const label = labels[p] as number;
    const start = positions.start(p);
    const own = label < 0 || label >= classes ? Number.NaN : (values[start + label * stride] as number);
    let before = 0;
    for (let c = 0; c < classes; c++) {
      const value = values[start + c * stride] as number;
      if (Number.isNaN(value))
        throw new TorchSearchError(
          "ERR_SCORE_NAN",
          "The model's output holds NaN; check its input and weights.",
        );
      if (value > own || (value === own && c < label)) before += 1;
    }
    if (!Number.isNaN(own) && before < k) sum += 1;
  }
  return { sum, count: positions.count };
}

function squaredError(output: Tensor, reference: Tensor): ScorePart {
  requireSame(output, reference, "Mean squared error");
  const [left, right] = [numbersOf(output), numbersOf(reference)];
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += ((left[i] as number) - (right[i] as number)) ** 2;
  return { sum, count: left.length };
}

function divergence(output: Tensor, reference: Tensor, dimension: ClassDimension): ScorePart {
  requireSame(output, reference, "KL divergence");
  const [model, truth] = [positionsOf(output, dimension), positionsOf(reference, dimension)];
  let sum = 0;
  for (let p = 0; p < model.count; p++) {
    const start = model.start(p);
    const [modelSum, truthSum] = [logSumOf(model, start), logSumOf(truth, start)];
    for (let c = 0; c < model.classes; c++) {
      const at = start + c * model.stride;
      const expected = (truth.values[at] as number) - truthSum;
      if (expected !== Number.NEGATIVE_INFINITY)
        sum += Math.exp(expected) * (expected - (model.values[at] as number) + modelSum);
    }
  }
  return { sum, count: output.shape[0] as number };
}

function requireSame(output: Tensor, reference: Tensor, what: string): void {
  if (!sameShape(output.shape, reference.shape))
    throw misfit(
      `${what} needs a reference of the output's shape ${list(output.shape)}, not ${list(reference.shape)}.`,
    );
}

/** The elements as numbers: whole ones too, and 16-bit floats by their values. */
function numbersOf(tensor: Tensor): ArrayLike<number> {
  const { dtype } = tensor;
  const data = tensor.data();
  if (dtype === "float16" || dtype === "bfloat16")
    return Float32Array.from(data as Uint16Array, (bits) => decodeElement(bits, dtype) as number);
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Float64Array.from(data as BigInt64Array, Number)
    : data;
}

function sameShape(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((size, at) => size === right[at]);
}

function list(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}
