/** Hyperparameters of the user's own: a tensor of the model, or a constant of its graph. */
import { createHash } from "node:crypto";

import { TorchSearchError } from "../errors";
import { Tensor } from "../model/tensor";
import type { CallOptions } from "../model/types";
import { callNative } from "../native/call";
import type { NativeSearchSpace } from "../native/types/search-space";
import { expected, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";

/**
 * A number that an operator of the graph is given, and that decides no size or shape: a slope, a bound, a scale, an
 * epsilon. {@link SearchSpace.constants} lists them.
 */
export interface GraphConstant {
  /**
   * Path of the module, operator and argument: `layer1.0.act.leaky_relu.negative_slope`. Later calls of the same name
   * end in `#2` and so on, in the order of execution.
   */
  readonly name: string;
  /** Such as `aten::leaky_relu`. */
  readonly operator: string;
  /** The argument's name in the operator's schema. */
  readonly argument: string;
  /** Its type in the schema. */
  readonly type: "float" | "int" | "bool";
  /** The model's own value; 0 or 1 for a `bool`. */
  readonly value: number;
}

/** A hyperparameter that puts another tensor in the place of a parameter or buffer. */
export interface TensorHyperparameter {
  /** Path of the parameter or buffer, as in a state dict: `layer1.0.conv1.weight`. */
  tensor: string;
  /**
   * The tensors that may take its place, at least one, of the same shape and dtype. They are copied. A config calls the
   * first one 0, the second one 1, and so on. The last choice, `values.length`, is the model's own tensor, which need
   * not be among the values.
   */
  values: readonly Tensor[];
  /**
   * The order of the channels in `values`: `original` (the default), which the module and its file had before the
   * conversion put the most important channels first; or `converted`, which `module.namedParameters()` has now.
   */
  channelOrder?: "original" | "converted";
  /** The position to select at once; default: the model's own tensor. */
  active?: number;
}

/** A hyperparameter that puts other numbers in the place of a constant of the graph. */
export interface ConstantHyperparameter {
  /** The name of a constant, or of several that have the same number now and shall always have the same one. */
  constant: string | readonly string[];
  /**
   * The numbers to choose from, beside the model's own: finite ones, or `true` and `false`. A config has the number.
   */
  values: readonly (number | boolean)[];
  /** The number to select at once; default: the model's own. */
  active?: number | boolean;
}

/** The definition that {@link SearchSpace.addHyperparameter} takes. */
export type CustomHyperparameter = TensorHyperparameter | ConstantHyperparameter;

/** The target of a hyperparameter, as the record of an export holds it. */
export interface CustomTarget {
  /** The parameter or buffer; else `constant` is there. */
  tensor?: string;
  /** Names of constants. */
  constant?: string[];
  /** SHA-256 of its name, target and values. */
  digest: string;
}

/** A hyperparameter that was added. */
export interface AddedHyperparameter {
  /** In the order of the native positions; the model's own value is the last one. */
  choices: readonly number[];
  begins: number;
  target: CustomTarget;
  active: number | null;
}

type Definition = Readonly<Record<string, unknown>>;

/** Checks a definition, and adds it on the native side. */
export async function addCustom(
  native: NativeSearchSpace,
  name: unknown,
  definition: unknown,
  { signal }: CallOptions,
): Promise<AddedHyperparameter> {
  if (typeof name !== "string" || name === "")
    throw expected("ERR_ARGUMENT", "a name", "the hyperparameter's name", name);
  if (!isRecord(definition) || "tensor" in definition === "constant" in definition)
    throw expected("ERR_ARGUMENT", "an object with either tensor or constant", name, definition);
  const known = ["tensor" in definition ? "tensor" : "constant", "values", "channelOrder", "active"];
  if ("constant" in definition) known.splice(2, 1);
  const unknown = Object.keys(definition).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new TorchSearchError(
      "ERR_ARGUMENT",
      `unknown key "${unknown}" of ${name}: ${suggestion(unknown, known)}`,
    );
  if (!Array.isArray(definition.values))
    throw expected("ERR_ARGUMENT", "an array", `the values of ${name}`, definition.values);
  const add = "tensor" in definition ? addTensors : addNumbers;
  const added = await add(native, name, definition, signal ?? null);
  const { active = null } = definition;
  return { ...added, active: active === null ? null : Number(active) };
}

async function addTensors(
  native: NativeSearchSpace,
  name: string,
  { tensor, values, channelOrder = "original", active }: Definition,
  signal: AbortSignal | null,
): Promise<Omit<AddedHyperparameter, "active">> {
  if (typeof tensor !== "string")
    throw expected("ERR_ARGUMENT", "the path of a parameter or buffer", `the tensor of ${name}`, tensor);
  if (channelOrder !== "original" && channelOrder !== "converted")
    throw expected("ERR_ARGUMENT", '"original" or "converted"', `the channelOrder of ${name}`, channelOrder);
  const tensors = (values as readonly unknown[]).map((value, at) => {
    if (!(value instanceof Tensor))
      throw expected("ERR_ARGUMENT", "a Tensor", `value ${at} of ${name}`, value);
    return value;
  });
  const choices = Array.from({ length: tensors.length + 1 }, (_, at) => at);
  requireChoice(name, active, choices);
  const module = native.module();
  const paths = [...module.namedParameters(), ...module.namedBuffers()].map((each) => each.name);
  if (!paths.includes(tensor))
    throw unknownTarget("ERR_UNKNOWN_TENSOR", "parameter or buffer", tensor, paths);
  const hash = createHash("sha256").update(JSON.stringify([name, tensor, channelOrder]));
  for (const value of tensors) {
    const data = value.data();
    hash.update(JSON.stringify([value.dtype, value.shape]));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  const handles = tensors.map((value) => value.native);
  const original = channelOrder === "original";
  const { begins } = await callNative(
    (call) => native.addTensors(name, tensor, handles, original, call),
    signal,
  );
  return { choices, begins, target: { tensor, digest: hash.digest("hex") } };
}

async function addNumbers(
  native: NativeSearchSpace,
  name: string,
  { constant, values, active }: Definition,
  signal: AbortSignal | null,
): Promise<Omit<AddedHyperparameter, "active">> {
  const names: unknown[] = Array.isArray(constant) ? constant : [constant];
  const constants = native.constants();
  const targets = names.map((each) => {
    if (typeof each !== "string")
      throw expected("ERR_ARGUMENT", "the name of a constant", `the constant of ${name}`, each);
    const found = constants.find((known) => known.name === each);
    if (found === undefined)
      throw unknownTarget(
        "ERR_UNKNOWN_CONSTANT",
        "constant",
        each,
        constants.map((known) => known.name),
      );
    return found;
  });
  const numbers = (values as readonly unknown[]).map((value, at) => {
    if (typeof value === "boolean") return Number(value);
    if (typeof value !== "number" || !Number.isFinite(value))
      throw expected("ERR_ARGUMENT", "a finite number", `value ${at} of ${name}`, value);
    return value + 0; // no -0, which is 0 in a config
  });
  if (active !== undefined) requireChoice(name, active, [...numbers, ...targets.map(({ value }) => value)]);
  const added = await callNative((call) => native.addNumbers(name, names as string[], numbers, call), signal);
  const digest = createHash("sha256")
    .update(JSON.stringify([name, names, added.numbers]))
    .digest("hex");
  return {
    choices: [...added.numbers, added.own as number],
    begins: added.begins,
    target: { constant: names as string[], digest },
  };
}

function requireChoice(name: string, active: unknown, choices: readonly number[]): void {
  if (active === undefined || choices.includes(Number(active))) return;
  throw expected("ERR_CHOICE", `one of ${choices.join(", ")}`, `the active value of ${name}`, active);
}

function unknownTarget(code: string, what: string, name: string, known: readonly string[]): TorchSearchError {
  return new TorchSearchError(code, `the model has no ${what} "${name}": ${suggestion(name, known)}`);
}
