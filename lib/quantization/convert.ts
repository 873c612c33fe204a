import { rules } from "../contract/config";
import { nativeInputsOf } from "../model/inputs";
import { Module } from "../model/module";
import { makeQuantizationSpace as makeNativeSpace } from "../native/quantization-space";
import { conflict } from "../space/layer-choice";
import { expected } from "../util/check";
import { matchesGlob } from "../util/globs";
import { listed } from "../util/listed";
import { type ConfigRule, orNull } from "../util/rules";
import { type FormatChoice, readFormats } from "./formats";
import { QuantizationSpace } from "./space";

/** The config of `convert(module, "auto_quantize", …)`. */
export interface QuantizeConfig {
  /** Formats to choose from, beside `none`; default `["int8", "int4"]`. */
  formats?: FormatChoice;
  /**
   * Whether layers that read the same activation get the same format, so that it has to be stored in one only; default
   * true. Layers that share a weight always do.
   */
  groupSharedInputs?: boolean;
  /**
   * The layers that may be quantized: globs over paths and kinds (such as `linear`), or patterns of paths; null (the
   * default) for all.
   */
  include?: readonly (string | RegExp)[] | null;
  /** Layers that stay as they are, also where `include` names them, in the same way; default none. */
  exclude?: readonly (string | RegExp)[];
  /** Stops the conversion with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
}

export const QUANTIZE_DEFAULTS: Required<QuantizeConfig> = {
  formats: ["int8", "int4"],
  groupSharedInputs: true,
  include: null,
  exclude: [],
  signal: null,
};

const PATTERNS: ConfigRule = {
  expected: "an array of paths or patterns",
  accepts: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === "string" || item instanceof RegExp),
};

export const QUANTIZE_RULES: Record<keyof QuantizeConfig, ConfigRule> = {
  formats: {
    expected: "names of formats, or formats by name",
    accepts: (value) => typeof value === "object" && value !== null,
  },
  groupSharedInputs: rules.boolean,
  include: orNull(PATTERNS),
  exclude: PATTERNS,
  signal: orNull(rules.signal),
};

/**
 * Makes a quantization space of a module. The layers are found from the operators that run on the dummy input:
 * convolutions, linear layers and matrix products with a weight.
 *
 * @param settings complete and checked
 * @throws `ERR_UNKNOWN_FORMAT`, `ERR_CONFIG_VALUE`, `ERR_ARGUMENT` for an `exclude` that fits no layer; `ERR_INPUT`,
 *   `ERR_FORWARD`, `ERR_DATA_DEPENDENT`, `ERR_UNSUPPORTED_GRAPH`, `ERR_NO_PARAMETERS`, `ERR_CLOSED`, `ERR_ABORTED`
 */
export async function makeQuantizationSpace(
  mode: string,
  module: Module,
  dummyInput: unknown,
  settings: Required<QuantizeConfig>,
  moduleFingerprint: string,
): Promise<QuantizationSpace> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  const { groupSharedInputs, include, exclude, signal } = settings;
  const formats = readFormats(settings.formats);
  const options = { formats, groupSharedInputs };
  const native = await makeNativeSpace(module.native, nativeInputsOf(dummyInput), options, { signal });
  try {
    const layers = native.layers();
    const names = layers.map(({ name }) => name);
    const kinds = new Map(layers.map(({ name, op }) => [name, op.replace(/^aten::/, "")]));
    const fits = (pattern: string | RegExp, name: string): boolean =>
      typeof pattern === "string"
        ? matchesGlob([name, kinds.get(name) ?? ""], [pattern])
        : new RegExp(pattern.source, pattern.flags.replace("g", "")).test(name);
    const isExcluded = (name: string): boolean => exclude.some((pattern) => fits(pattern, name));
    for (const [key, patterns] of Object.entries({ include: include ?? [], exclude })) {
      const unused = patterns.find((pattern) => !names.some((name) => fits(pattern, name)));
      if (unused === undefined) continue;
      throw expected("ERR_ARGUMENT", `the path of a layer (${listed(names)})`, key, String(unused));
    }
    const useless = include?.find((pattern) =>
      names.every((name) => !fits(pattern, name) || isExcluded(name)),
    );
    if (useless !== undefined) {
      throw conflict(
        `include names "${String(useless)}", and exclude (${exclude.join(", ")}) names all of that: drop one of the two`,
      );
    }
    return QuantizationSpace.wrap(native, {
      mode,
      moduleFingerprint,
      moduleBytes: module.bytes,
      formats,
      groupSharedInputs,
      excluded: (name) =>
        isExcluded(name) || (include !== null && !include.some((pattern) => fits(pattern, name))),
    });
  } catch (error) {
    native.close();
    throw error;
  }
}
