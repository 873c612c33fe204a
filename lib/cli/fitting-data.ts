/** Opening data for a model: by the names of its arguments, with numbers that it takes, and in its dtype. */
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import type { DType } from "../model/dtype";
import type { Module } from "../model/module";
import { argumentsOf } from "../model/signature";
import type { Tensor } from "../model/tensor";
import { parseInputs } from "../profile/input-spec";
import { type DataPart, type OpenData, openData } from "./open-data";
import type { DataRequest } from "./request";
import { rowsNotice } from "./target-rows";

/** The data of a request, for a model. */
export type FittingRequest = DataRequest & {
  dtype: DType | null;
  input?: readonly string[] | null;
  /** How candidates are rated. */
  score?: string;
  /** What is minimized. */
  loss?: string | null;
};

/**
 * Opens data for a model. Where it refuses the first sample, inputs of another dtype than its weights are converted if
 * their values stay the same, which is said.
 *
 * @throws `ERR_DTYPE` when the model needs a dtype that changes values and `dtype` doesn't ask for it; as {@link openData}
 */
export async function openFitting(
  request: FittingRequest,
  module: Module,
  part: DataPart,
  say: (line: string) => void,
): Promise<OpenData> {
  const data = await openInDType(request, module, part, say);
  const notice = rowsNotice(data, request.score === undefined ? "--loss" : "--score");
  if (notice !== null) say(notice);
  return data;
}

async function openInDType(
  request: FittingRequest,
  module: Module,
  part: DataPart,
  say: (line: string) => void,
): Promise<OpenData> {
  const forModel = {
    arguments: argumentsOf(module.signature),
    numbers: parseInputs(request.input ?? [], module.signature).numbers,
    values: request.score === "meanSquaredError" || request.loss === "meanSquaredError",
  };
  const open = (dtypes: Record<string, DType>, onInexact: (name: string) => void): Promise<OpenData> =>
    openData(request, part, { ...forModel, conversion: { dtypes, onInexact } });
  const data = await open({}, () => {});
  const own = dtypesOf(data);
  const wanted = request.dtype ?? weightsDType(module);
  const others = Object.keys(own).filter((name) => own[name] !== wanted);
  if (others.length === 0) return data;
  if (request.dtype !== null) {
    data.loader.close();
    const asked = others.length === 1 ? others : ofKind(others, own, /float|uint8/);
    return open(Object.fromEntries(asked.map((name) => [name, wanted])), () => {});
  }
  if (await runs(module, data)) return data;
  // Arrays that may be meant to have the dtype: floats, then bytes too, and in the end all.
  const groups = [/float/, /float|uint8/, /./].map((kind) => ofKind(others, own, kind));
  for (const [at, names] of groups.entries()) {
    if (names.length === (groups[at - 1]?.length ?? 0)) continue;
    const inexact: string[] = [];
    const dtypes = Object.fromEntries(names.map((name) => [name, wanted]));
    const other = await open(dtypes, (name) => inexact.push(name));
    if (!(await runs(module, other))) {
      other.loader.close();
      continue;
    }
    data.loader.close();
    const listed = (some: readonly string[]): string =>
      some.map((name) => `"${name}" (${own[name] as string})`).join(", ");
    if (inexact.length > 0) {
      other.loader.close();
      throw new TorchSearchError(
        "ERR_DTYPE",
        `The model takes ${wanted}, which can't hold all values of ${listed(inexact)}: give --dtype ${wanted} to round them, ` +
          "or convert the file.",
      );
    }
    say(`The model takes ${wanted}: ${listed(names)} is converted, and no value changes.`);
    return other;
  }
  return data;
}

/** The dtypes of the inputs' arrays, by name. */
function dtypesOf({ loader, inputs }: OpenData): Record<string, DType> {
  if (!(loader instanceof TensorDataLoader)) return {};
  const batch = loader.batch(0) as Record<string, Tensor>;
  const dtypes = Object.fromEntries(inputs.map((name) => [name, (batch[name] as Tensor).dtype]));
  closeTensors(batch);
  return dtypes;
}

/** The names of arrays whose dtype is of a kind. */
function ofKind(names: readonly string[], dtypes: Record<string, DType>, kind: RegExp): string[] {
  return names.filter((name) => kind.test(dtypes[name] as string));
}

/** The dtype of the model's weights. */
function weightsDType(module: Module): DType {
  const all = module.namedParameters().map(({ tensor }) => tensor);
  const dtype = all.find((tensor) => tensor.dtype.includes("float"))?.dtype ?? "float32";
  closeTensors(all);
  return dtype;
}

/** Whether the model runs on the first sample. */
async function runs(module: Module, data: OpenData): Promise<boolean> {
  const { training } = module;
  const example = data.example();
  if (training) module.eval();
  try {
    closeTensors(await module.forward(...(example as never[])));
    return true;
  } catch (error) {
    if (error instanceof TorchSearchError) return false;
    throw error;
  } finally {
    if (training) module.train();
    closeTensors(example);
  }
}
