/** The inputs that a command runs a model on. */
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import { Tensor } from "../model/tensor";
import type { Input } from "../model/types";
import { type InputSpec, type NumberSpec, parseInputs, randomInputs } from "../profile/input-spec";
import { isRecord } from "../util/check";
import { sampleInputsOf } from "./load-model";

export interface DescribedInputs {
  /** As `Module.forward` takes them; the caller closes them. */
  inputs: unknown[];
  /** What they are, for the `--json` document. */
  described: (InputSpec | NumberSpec)[];
}

/**
 * Random inputs as `--input` describes them; without it, those that an exported program was made with.
 *
 * @throws `ERR_INPUT_SPEC`; `ERR_CLI_OPTION` where neither says what the inputs are
 */
export async function describedInputs(
  file: string,
  texts: readonly string[] | null,
  module: Module,
  seed: number,
): Promise<DescribedInputs> {
  if (texts !== null && texts.length > 0) {
    const { specs, numbers } = parseInputs(texts, module.signature);
    return { inputs: randomInputs(specs, seed, numbers), described: [...specs, ...numbers] };
  }
  const sample = await sampleInputsOf(file);
  if (sample === null) {
    throw new TorchSearchError(
      "ERR_CLI_OPTION",
      "Describe the model's input with --input, such as 1x3x224x224: its file holds no sample inputs.",
    );
  }
  const { args, kwargs } = sample;
  const named = Object.keys(kwargs).length > 0 || isRecord(args[args.length - 1]);
  const described = [
    ...args.flatMap((value) => describe(value, null)),
    ...Object.entries(kwargs).flatMap(([keyword, value]) => describe(value, keyword)),
  ];
  return { inputs: named ? [...args, kwargs] : args, described };
}

function describe(value: Input, keyword: string | null): (InputSpec | NumberSpec)[] {
  if (value instanceof Tensor) return [{ keyword, shape: [...value.shape], dtype: value.dtype }];
  if (Array.isArray(value)) return value.flatMap((item: Input) => describe(item, keyword));
  if (isRecord(value)) return Object.values(value).flatMap((item) => describe(item as Input, keyword));
  const isNumber = typeof value === "number" || typeof value === "boolean";
  return isNumber && keyword !== null ? [{ keyword, value }] : [];
}
