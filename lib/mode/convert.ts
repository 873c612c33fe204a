/** Making a space of a module. */
import { Module } from "../model/module";
import { rememberApplication } from "../model/record-export";
import type { ModeSpace } from "../space/mode-space";
import { expected, isRecord } from "../util/check";
import { completeConfig } from "../util/complete-config";
import type { Converted, Mode, ModeMap } from "./built-in";
import "./built-in";
import { type AnyMode, type ConfigOf, findMode, type SpaceOf } from "./registry";

/**
 * Makes a space of a module, by a mode. The mode decides what the space is and which keys `config` has.
 *
 * `fastnas` and `autonas` make a `SearchSpace`: the operators that run on the dummy input decide what can be narrowed.
 * The module's channels are put in order of importance, in place: its outputs stay the same, up to rounding, and it
 * stays usable. The space shares its weights, and runs them in evaluation mode whatever the module's mode is.
 * `auto_quantize` makes a `QuantizationSpace`. `sparse_magnitude` and `sparsegpt` make a `SparseSpace`, which works on
 * a copy and leaves the module alone.
 *
 * @param mode the name of a mode of the library, such as `"fastnas"`, or the descriptor that `registerMode` returned
 *   (`findMode` of `torchsearch/mode` looks one up by a name that is known at run time only)
 * @param dummyInput one value, an array of arguments, or an array whose last item is a record of keyword arguments;
 *   `cost()` refers to inputs of these shapes
 * @throws `ERR_UNKNOWN_MODE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE`, `ERR_ARGUMENT`, `ERR_INPUT` for inputs that
 *   don't fit, `ERR_FORWARD` when the model fails on them, `ERR_DATA_DEPENDENT`, `ERR_UNSUPPORTED_GRAPH` or
 *   `ERR_UNKNOWN_OPERATOR` for a graph that can't be narrowed, `ERR_CLOSED`, `ERR_ABORTED`; with `data` also
 *   `ERR_EMPTY_LOADER`, `ERR_LOADER_ONE_SHOT`, `ERR_LOADER_FAILED`, `ERR_BATCH`, `ERR_SCORE_INPUT` for targets that
 *   don't fit the loss, `ERR_GRADIENT` for a model that can't be differentiated; `ERR_IMPORTANCE_NAN`. An error
 *   leaves the module as it was
 *
 * @example
 * ```ts
 * const widths = await convert(module, "fastnas", dummyInput, { channelDivisor: 16 });
 * widths.select(widths.smallestConfig);
 * console.log(widths.costs(widths.active));
 * ```
 */
export async function convert<Name extends Mode>(
  module: Module,
  mode: Name,
  dummyInput: unknown,
  config?: ConfigOf<ModeMap[Name]> | null,
): Promise<Converted<Name>>;
export async function convert<Descriptor extends AnyMode>(
  module: Module,
  mode: Descriptor,
  dummyInput: unknown,
  config?: ConfigOf<Descriptor> | null,
): Promise<SpaceOf<Descriptor>>;
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
  descriptor.check?.(settings as never);
  const signal = settings.signal instanceof AbortSignal ? settings.signal : null;
  // Before the conversion changes the weights, so that a file loaded anew has the same fingerprint.
  const from = await module.fingerprint({ signal });
  const space = await descriptor.convert(module, dummyInput, settings as never, from);
  const { signal: _, onProgress: __, ...decisive } = settings;
  rememberApplication(space, module, { mode: descriptor.name, config: decisive, from });
  return space;
}
