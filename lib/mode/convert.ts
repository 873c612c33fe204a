import { rememberApplication } from "../model/record-export";
import type { ModeSpace } from "../space/mode-space";
import { completeConfig } from "../util/complete-config";
import { type AnyMode, findMode, type ModeDescriptor } from "./registry";
import "./width-modes";
import "./quantize-mode";
import "./sparse-modes";
import { Module } from "../model/module";
import type { QuantizeConfig } from "../quantization/convert";
import type { QuantizationSpace } from "../quantization/space";
import type { ConvertConfig } from "../space/convert";
import type { SearchSpace } from "../space/search-space";
import type { SparseConfig } from "../sparsity/convert";
import type { SparseSpace } from "../sparsity/space";
import { expected, isRecord } from "../util/check";

/** The modes that come with the library: what config each takes, and what `convert` gives. */
export interface ModeMap {
  /** Widths and blocks of a trained model. */
  fastnas: { config: ConvertConfig; space: SearchSpace };
  /** Widths and blocks of a supernet. */
  autonas: { config: ConvertConfig; space: SearchSpace };
  /** Number formats of layers. */
  auto_quantize: { config: QuantizeConfig; space: QuantizationSpace };
  /** Weights that stay: the largest. */
  sparse_magnitude: { config: SparseConfig; space: SparseSpace };
  /** Weights that stay, and what they become. */
  sparsegpt: { config: SparseConfig; space: SparseSpace };
}
/** The name of a mode that comes with the library. */
export type Mode = keyof ModeMap;

/**
 * Makes a space of a module, by a mode; what it is, and what `config` may hold, is the mode's. Of `fastnas` and `autonas` it
 * is a {@link SearchSpace}: what can be narrowed is found from the operators that run on the dummy input.
 *
 * The module's channels are put in order of importance, in place: it computes what it did, up to rounding, and stays
 * usable. The space shares its weights, and runs them in evaluation mode whatever the module's mode is. Of
 * `sparse_magnitude` and `sparsegpt` it is a {@link SparseSpace}, which works on a copy and leaves the module alone.
 *
 * @param mode the name of a mode, such as `"fastnas"`, or what `registerMode` returned
 * @param dummyInput one value, an array of arguments, or an array whose last item is a record of keyword arguments;
 *   `cost()` refers to inputs of these shapes
 * @throws `ERR_UNKNOWN_MODE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE`, `ERR_ARGUMENT`, `ERR_INPUT` for inputs that
 *   don't fit, `ERR_FORWARD` when the model fails on them, `ERR_DATA_DEPENDENT`, `ERR_UNSUPPORTED_GRAPH` or
 *   `ERR_UNKNOWN_OPERATOR` for a graph that can't be narrowed, `ERR_CLOSED`, `ERR_ABORTED`; with `data` also
 *   `ERR_EMPTY_LOADER`, `ERR_LOADER_ONE_SHOT`, `ERR_LOADER_FAILED`, `ERR_BATCH`, `ERR_SCORE_INPUT` for targets that
 *   don't fit the loss, `ERR_GRADIENT` for a model that can't be differentiated; `ERR_IMPORTANCE_NAN`. An error
 *   leaves the module as it was
 */
export async function convert<Name extends Mode>(
  module: Module,
  mode: Name,
  dummyInput: unknown,
  config?: ModeMap[Name]["config"] | null,
): Promise<ModeMap[Name]["space"]>;
export async function convert<Config extends object, Space extends ModeSpace>(
  module: Module,
  mode: ModeDescriptor<Config, Space>,
  dummyInput: unknown,
  config?: Config | null,
): Promise<Space>;
export async function convert(
  module: Module,
  mode: string,
  dummyInput: unknown,
  config?: Readonly<Record<string, unknown>> | null,
): Promise<ModeSpace>;
export async function convert(
  module: Module,
  mode: string | AnyMode,
  dummyInput: unknown,
  config: object | null = null,
): Promise<ModeSpace> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  const descriptor = isRecord(mode) ? findMode((mode as unknown as AnyMode).name) : findMode(mode as string);
  const settings = completeConfig<object>(config, descriptor.defaults, descriptor.rules) as Record<
    string,
    unknown
  >;
  descriptor.check?.(settings);
  const signal = settings.signal instanceof AbortSignal ? settings.signal : null;
  // Before the conversion changes the weights, so that a file loaded anew has the same fingerprint.
  const from = await module.fingerprint({ signal });
  const space = await descriptor.convert(module, dummyInput, settings, from);
  const { signal: _, onProgress: __, ...decisive } = settings;
  rememberApplication(space, module, { mode: descriptor.name, config: decisive, from });
  return space;
}
