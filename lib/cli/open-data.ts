/** Opening the data of a request: which arrays are inputs, and which one is the target. */

import { stat } from "node:fs/promises";
import path from "node:path";
import { ArrayFile } from "../data/array-file";
import { ImageFolderLoader } from "../data/image-folder";
import { closeTensors } from "../data/raw-tensor";
import { type Conversion, TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import type { ForwardArgument } from "../model/signature";
import { Tensor } from "../model/tensor";
import type { NumberSpec } from "../profile/input-spec";
import { listed } from "../util/listed";
import { badOption } from "./options/kinds";
import type { DataRequest } from "./request";
import { labelsOf, rowsOf, type TargetRows } from "./target-rows";

const INPUT_NAMES = ["inputs", "input", "x", "images", "image", "data", "features"];
/** How the arrays of a part of the data are named. */
const FORMS = {
  train: ["*", "train_*", "*_train"],
  eval: ["test_*", "*_test", "val_*", "*_val", "eval_*", "*_eval", "*"],
} as const;
/** A part of the data. */
export type DataPart = keyof typeof FORMS;
const TARGET_NAMES = ["targets", "target", "y", "labels", "label", "classes"];

/** Opened data, the same for every kind of file. */
export interface OpenData {
  loader: TensorDataLoader | ImageFolderLoader;
  /** Names of the arrays that the model takes. */
  inputs: string[];
  /** Name of the targets' array; null without targets. */
  target: string | null;
  /** Whether the targets are whole numbers, such as class labels. */
  labels: boolean;
  /** What float targets are; null for whole numbers, and without targets. One-hot rows have become labels. */
  rows: TargetRows | null;
  /**
   * Picks the inputs out of a batch: positional ones, then a record of keyword arguments if there are any. Null when the
   * first element is all of them.
   */
  collect: ((batch: Record<string, Tensor>) => unknown[]) | null;
  /** The first sample, as a batch of one, in the form of `collect`. The caller closes its tensors. */
  example(): unknown[];
}

/** What is known of the model that the data are for. */
export interface DataForModel {
  /** The arguments of its `forward`. */
  arguments?: readonly ForwardArgument[];
  /** Numbers that it takes with every batch. */
  numbers?: readonly NumberSpec[];
  /** How arrays are converted. */
  conversion?: Conversion;
  /** Whether float targets are values, whatever their rows are. */
  values?: boolean;
}

/**
 * Opens the files of a request.
 *
 * @throws `ERR_CLI_OPTION` for files of an unknown kind, `ERR_DATA_KEYS` when the names don't show which arrays to use,
 *   `ERR_DATA_FILE`, `ERR_DATASET`
 */
export async function openData(
  request: DataRequest,
  part: DataPart = "train",
  model: DataForModel = {},
): Promise<OpenData> {
  const { batchSize, shuffle, seed } = request;
  const options = { batchSize, shuffle, seed };
  const chooseArrays = (names: readonly string[], ordered: boolean, of: string) =>
    choose(names, request, { forms: FORMS[part], ordered, file: of, arguments: model.arguments ?? [] });
  let rows: TargetRows | null = null;
  const conversionFor = (target: string | null): Conversion => ({
    dtypes: {},
    onInexact: () => {},
    ...model.conversion,
    replace: (name, tensor) => {
      if (name !== target || !tensor.dtype.includes("float") || model.values === true) return tensor;
      rows = rowsOf(tensor);
      return rows === "oneHot" ? labelsOf(tensor) : tensor;
    },
  });
  const ready = (loader: TensorDataLoader, inputs: string[], target: string | null): OpenData => ({
    ...opened(loader, placed(inputs, FORMS[part], model), target),
    rows,
  });
  const openArrays = async (arrays: ArrayFile): Promise<OpenData> => {
    const { inputs, target } = chooseArrays(arrays.names, arrays.ordered, arrays.path);
    const keys = [...inputs, ...(target === null ? [] : [target])];
    const loader = await TensorDataLoader.fromArrays(arrays, { ...options, keys }, conversionFor(target));
    return ready(loader, inputs, target);
  };
  const kinds = new Set(request.data.map((file) => path.extname(file).toLowerCase()));
  const [file = ""] = request.data;
  if (request.data.length === 1 && (await isFolder(file))) return openImages(file, request);
  if (kinds.has(".npy") && kinds.size === 1) {
    const files = Object.fromEntries(request.data.map(namedFile));
    const { inputs, target } = chooseArrays(Object.keys(files), true, "The .npy files");
    const chosen = [...inputs, ...(target === null ? [] : [target])];
    const picked = Object.fromEntries(chosen.map((name) => [name, files[name] as string]));
    return ready(
      await TensorDataLoader.fromNpyConverted(picked, options, conversionFor(target)),
      inputs,
      target,
    );
  }
  if (request.data.length !== 1)
    throw badOption("Give a folder of images, one .npz or .safetensors file, or .npy files.");
  if (kinds.has(".npz")) {
    return openArrays(await ArrayFile.openNpz(file));
  }
  if (kinds.has(".safetensors")) return openArrays(await ArrayFile.openSafetensors(file));
  throw badOption(
    `${file} has an unknown kind: give a folder of images, a .npz or .safetensors file, or .npy files.`,
  );
}

/** How arrays are chosen. */
interface Choosing {
  forms: readonly string[];
  /** Whether the order of the names means something. */
  ordered: boolean;
  /** For messages. */
  file: string;
  arguments: readonly ForwardArgument[];
}

/** Chooses by the options, else by the names of the model's arguments, else by the usual names, else by position where there are no more than two arrays. */
function choose(
  names: readonly string[],
  { inputArrays, targetArray }: DataRequest,
  { forms, ordered, file, arguments: args }: Choosing,
): { inputs: string[]; target: string | null } {
  for (const name of [...(inputArrays ?? []), ...(targetArray === null ? [] : [targetArray])]) {
    if (names.includes(name)) continue;
    throw new TorchSearchError("ERR_DATA_KEYS", `${file} has no array "${name}"; it has ${listed(names)}.`);
  }
  const few = ordered && names.length <= 2;
  const inputs =
    inputArrays ??
    byArguments(names, args, forms) ??
    byName(names, INPUT_NAMES, forms, names[0] !== targetArray && few ? names[0] : null);
  if (inputs === null) {
    throw new TorchSearchError(
      "ERR_DATA_KEYS",
      `${file} holds the arrays ${listed(names)}: choose with --input-array and --target-array.`,
    );
  }
  const rest = names.filter((name) => !inputs.includes(name));
  const target = targetArray ?? byName(rest, TARGET_NAMES, forms, few ? rest[0] : null)?.[0] ?? null;
  return { inputs, target };
}

/** The arrays with the names of the model's tensors, when it needs several and all of them are there; else null. */
function byArguments(
  names: readonly string[],
  args: readonly ForwardArgument[],
  forms: readonly string[],
): string[] | null {
  const tensors = args.filter(({ type }) => /Tensor/.test(type));
  const needed = tensors.filter(({ optional }) => !optional);
  // An optional `labels` is the target of the data.
  const wanted = tensors.filter(({ name, optional }) => !optional || !TARGET_NAMES.includes(name));
  const found = wanted.map(({ name }) => ({
    name,
    array: byName(names, [name.toLowerCase()], forms, null)?.[0],
  }));
  const lacks = needed.some(
    ({ name }) => !found.some((each) => each.name === name && each.array !== undefined),
  );
  const arrays = found.flatMap(({ array }) => (array === undefined ? [] : [array]));
  const usual =
    arrays.length === 1 && needed.length === 1 && TARGET_NAMES.includes((needed[0] as ForwardArgument).name);
  return needed.length === 0 || lacks || usual ? null : arrays;
}

/** How arrays, and numbers, become the model's arguments. */
interface Placed {
  inputs: string[];
  positional: string[];
  /** Arrays by the arguments' names. */
  keywords: [argument: string, array: string][];
  numbers: readonly NumberSpec[];
}

/** Arrays that all have the names of arguments go where these are; others are positional, in their order. */
function placed(inputs: string[], forms: readonly string[], model: DataForModel): Placed {
  const { arguments: args = [], numbers = [] } = model;
  const at = inputs.map((array) =>
    args.findIndex(({ name }) => byName([array], [name.toLowerCase()], forms, null) !== null),
  );
  if (inputs.length < 2 || at.includes(-1) || new Set(at).size < at.length)
    return { inputs, positional: inputs, keywords: [], numbers };
  const sorted = inputs.map((array, i) => ({ array, at: at[i] as number })).sort((a, b) => a.at - b.at);
  const gap = sorted.findIndex((each, i) => each.at !== i);
  const first = gap < 0 ? sorted.length : gap;
  return {
    inputs: sorted.map(({ array }) => array),
    positional: sorted.slice(0, first).map(({ array }) => array),
    keywords: sorted.slice(first).map((each) => [(args[each.at] as ForwardArgument).name, each.array]),
    numbers,
  };
}

/** The array with a usual name, in the forms of a part of the data: `x`, `x_train`, `train_x`. */
function byName(
  names: readonly string[],
  usual: readonly string[],
  forms: readonly string[],
  otherwise: string | null | undefined,
): string[] | null {
  for (const wanted of usual) {
    for (const form of forms) {
      const found = names.find((name) => name.toLowerCase() === form.replace("*", wanted));
      if (found !== undefined) return [found];
    }
  }
  return otherwise == null ? null : [otherwise];
}

async function isFolder(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isDirectory();
  } catch {
    return false; // reading it reports the problem
  }
}

async function openImages(
  folder: string,
  { batchSize, shuffle, seed, images }: DataRequest,
): Promise<OpenData> {
  const loader = await ImageFolderLoader.open(folder, { ...images, batchSize, shuffle, seed });
  // The first image is decoded right away, so that problems with decoding show before anything is computed.
  const single = await ImageFolderLoader.open(folder, { ...images, batchSize: 1, shuffle, seed });
  const first = await single.batch(0);
  const sample = first.images.data().slice();
  const { shape } = first.images;
  first.images.close();
  first.labels?.close();
  single.close();
  const [input = "", target = null] = loader.keys;
  return {
    loader,
    inputs: [input],
    target,
    labels: target !== null,
    rows: null,
    collect: null,
    example: () => [Tensor.from(sample, shape)],
  };
}

function opened(loader: TensorDataLoader, place: Placed, target: string | null): Omit<OpenData, "rows"> {
  const { inputs, positional, keywords, numbers } = place;
  if (loader.samples === 0) {
    loader.close();
    throw new TorchSearchError(
      "ERR_DATASET",
      `The data have no samples: the first dimension of ${listed(inputs)} is 0. Give arrays of at least one sample.`,
    );
  }
  const batch = loader.batch(0) as Record<string, Tensor>;
  const dtype = target === null ? null : (batch[target] as Tensor).dtype;
  const samples = Object.fromEntries(inputs.map((name) => [name, firstSample(batch[name] as Tensor)]));
  closeTensors(batch);
  const values = numbers.map(({ keyword, value }) => [keyword, value]);
  const collect = (tensors: Record<string, Tensor>): unknown[] => {
    const given = keywords.map(([argument, array]) => [argument, tensors[array] as Tensor]);
    const kwargs = [...given, ...values];
    return [
      ...positional.map((name) => tensors[name] as Tensor),
      ...(kwargs.length > 0 ? [Object.fromEntries(kwargs)] : []),
    ];
  };
  const alone = positional.length === 1 && inputs.length === 1 && numbers.length === 0;
  return {
    loader,
    inputs,
    target,
    labels: dtype !== null && /int/.test(dtype),
    collect: alone ? null : collect,
    example: () => collect(Object.fromEntries(Object.entries(samples).map(([name, make]) => [name, make()]))),
  };
}

/** Copies a batch's first sample. @returns a function that makes a batch of it alone */
function firstSample(tensor: Tensor): () => Tensor {
  const { shape, dtype, size } = tensor;
  const sample = tensor.data().slice(0, size / (shape[0] as number));
  return () => Tensor.from(sample.slice(), [1, ...shape.slice(1)], { dtype });
}

function namedFile(entry: string): [string, string] {
  const match = /^(\w+)=(.+)$/.exec(entry);
  if (match !== null) return [match[1] as string, match[2] as string];
  return [path.basename(entry, ".npy"), entry];
}
