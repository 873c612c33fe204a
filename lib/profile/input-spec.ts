import os from "node:os";

import { TorchSearchError } from "../errors";
import { DTYPE_NAMES, type DType, isDType } from "../model/dtype";
import { argumentsOf, type ForwardArgument, isNumeric } from "../model/signature";
import { Tensor } from "../model/tensor";
import { Random } from "../util/random";
import { formatBytes } from "./units";

/** One input of a model, described on a command line. */
export interface InputSpec {
  /** The name of a keyword argument, or null for a positional one. */
  keyword: string | null;
  shape: number[];
  dtype: DType;
}

const SYNTAX =
  "write a shape such as 1x3x224x224, with a type such as 1x16:int64, with a name such as mask=1x16:bool";

/**
 * Reads `1x3x224x224`, `1x16:int64` or `mask=1x16:bool`; a shape of `scalar` has no dimensions.
 *
 * @throws `ERR_INPUT_SPEC`
 */
export function parseInputSpec(text: string): InputSpec {
  const match = /^(?:([A-Za-z_]\w*)=)?(scalar|\d+(?:[x,]\d+)*)(?::(\w+))?$/.exec(text.trim());
  if (match === null) throw new TorchSearchError("ERR_INPUT_SPEC", `"${text}" is no input: ${SYNTAX}.`);
  const [, keyword, shape = "", dtype = "float32"] = match;
  if (!isDType(dtype)) {
    throw new TorchSearchError(
      "ERR_INPUT_SPEC",
      `"${text}" has an unknown type; use one of ${DTYPE_NAMES.join(", ")}.`,
    );
  }
  const sizes = shape === "scalar" ? [] : shape.split(/[x,]/).map(Number);
  return { keyword: keyword ?? null, shape: sizes, dtype };
}

/** A number or boolean that a model takes as a keyword argument. */
export interface NumberSpec {
  keyword: string;
  value: number | boolean;
}

/**
 * Reads descriptions of inputs as {@link parseInputSpec} does; for an argument of the model that is a number,
 * `sr=16000` is its value.
 *
 * @param signature the model's, such as `forward(x: Tensor, sr: int = 8000) -> Tensor`
 * @throws `ERR_INPUT_SPEC`
 */
export function parseInputs(
  texts: readonly string[],
  signature: string,
): { specs: InputSpec[]; numbers: NumberSpec[] } {
  const numeric = argumentsOf(signature).filter(isNumeric);
  const specs: InputSpec[] = [];
  const numbers: NumberSpec[] = [];
  for (const text of texts) {
    const [, keyword = "", value = ""] = /^\s*(\w+)=(.*)$/.exec(text) ?? [];
    const argument = numeric.find(({ name }) => name === keyword);
    if (argument === undefined) specs.push(parseInputSpec(text));
    else numbers.push({ keyword, value: readNumber(value.trim(), argument) });
  }
  return { specs, numbers };
}

function readNumber(text: string, { name, type }: ForwardArgument): number | boolean {
  if (/bool/.test(type) && /^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
  const value = text === "" ? Number.NaN : Number(text);
  if (!/bool/.test(type) && Number.isFinite(value) && (/float/.test(type) || Number.isInteger(value)))
    return value;
  throw new TorchSearchError(
    "ERR_INPUT_SPEC",
    `"${text}" is no value for ${name}, which is of type ${type}: write ${/bool/.test(type) ? `${name}=true` : `${name}=16000`}.`,
  );
}

/** @throws `ERR_INPUT_SPEC` for a tensor larger than any memory */
function requireMemory({ shape }: InputSpec, count: number): void {
  // Random values are first made as numbers of four or eight bytes, and then converted.
  if (count * 4 <= os.totalmem()) return;
  throw new TorchSearchError(
    "ERR_INPUT_SPEC",
    `An input of ${shape.join("x")} takes ${formatBytes(count * 4)}, more than this machine's memory: give a smaller shape.`,
  );
}

/**
 * Seeded random tensors for the inputs, following the convention of dummy inputs: an array of arguments, and a record
 * of keyword arguments in its last place if there are any. Floating-point values are uniform in [0, 1); whole numbers
 * and booleans are 0 or 1, which is a valid index of nearly every embedding. The caller closes the tensors.
 */
export function randomInputs(
  specs: readonly InputSpec[],
  seed = 0,
  numbers: readonly NumberSpec[] = [],
): unknown[] {
  const random = new Random(seed);
  const args: unknown[] = [];
  const kwargs: Record<string, unknown> = {};
  for (const { keyword, value } of numbers) kwargs[keyword] = value;
  for (const spec of specs) {
    const tensor = randomTensor(spec, random);
    if (spec.keyword === null) args.push(tensor);
    else kwargs[spec.keyword] = tensor;
  }
  return Object.keys(kwargs).length > 0 ? [...args, kwargs] : args;
}

function randomTensor(spec: InputSpec, random: Random): Tensor {
  const { shape, dtype } = spec;
  const count = shape.reduce((product, size) => product * size, 1);
  requireMemory(spec, count);
  if (dtype === "int64")
    return Tensor.from(
      BigInt64Array.from({ length: count }, () => BigInt(random.uint32() & 1)),
      shape,
    );
  const whole = !dtype.includes("float");
  const values = Float32Array.from({ length: count }, () =>
    whole ? random.uint32() & 1 : random.uint32() / 2 ** 32,
  );
  return Tensor.from(values, shape, { dtype });
}
