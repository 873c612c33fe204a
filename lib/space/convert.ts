import { TorchSearchError } from "../errors";
import { Module } from "../module";
import { addon } from "../native/addon";
import { callNative } from "../native/call";
import { toNative } from "../native/values";
import { splitInputs } from "../searcher/data-source";
import type { ProgressListener } from "../searcher/types";
import { describe, expected, isFunction, isPositiveInteger, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import { SearchSpace } from "./search-space";

/** The modes of {@link convert}. `fastnas`: the channel widths of convolutions and linear layers. */
export const MODES = ["fastnas"] as const;
export type Mode = (typeof MODES)[number];

/** How channels are ranked: by the sum of absolute weights, or of squared ones, over all that produces a channel. */
export const IMPORTANCES = ["l1", "l2"] as const;
export type Importance = (typeof IMPORTANCES)[number];

/** The config of {@link convert}. */
export interface ConvertConfig {
  /** Widths to choose from are multiples of it, where the full width has any; default 8. */
  channelDivisor?: number;
  /** How channels are ranked; the least important ones go first. Default `l1`. */
  importance?: Importance;
  /** Stops the conversion with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

const DEFAULTS: Required<ConvertConfig> = {
  channelDivisor: 8,
  importance: "l1",
  signal: null,
  onProgress: null,
};

/**
 * Makes a search space of a module. What can be narrowed is found from the operators that run on the dummy input.
 *
 * The module's channels are put in order of importance, in place: it computes what it did, up to rounding, and stays
 * usable. The space shares its weights, and runs them in evaluation mode whatever the module's mode is.
 *
 * @param mode `"fastnas"`
 * @param dummyInput one value, an array of arguments, or an array whose last item is a record of keyword arguments;
 *   `cost()` refers to inputs of these shapes
 * @throws `ERR_UNKNOWN_MODE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE`, `ERR_ARGUMENT`, `ERR_INPUT` for inputs that
 *   don't fit, `ERR_FORWARD` when the model fails on them, `ERR_DATA_DEPENDENT`, `ERR_UNSUPPORTED_GRAPH` or
 *   `ERR_UNKNOWN_OPERATOR` for a graph that can't be narrowed, `ERR_CLOSED`, `ERR_ABORTED`
 */
export async function convert(
  module: Module,
  mode: Mode,
  dummyInput: unknown,
  config: ConvertConfig | null = null,
): Promise<SearchSpace> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  requireMode(mode);
  const { channelDivisor, importance, signal, onProgress } = readConfig(config);
  const { args, kwargs } = splitInputs(dummyInput);
  // Before the conversion changes the order of the weights, so that a file loaded anew has the same fingerprint.
  const moduleFingerprint = await module.fingerprint({ signal });
  const native = await callNative(
    (call) =>
      addon().SearchSpace.convert(
        module.native,
        toNative(args) as unknown[],
        toNative(kwargs) as Record<string, unknown>,
        { channelDivisor, importance },
        call,
      ),
    signal,
    onProgress
      ? ({ done, total, message }) => onProgress({ phase: "convert", done, total: total || null, message })
      : undefined,
  );
  return SearchSpace.wrap(native, { mode, moduleFingerprint, settings: { channelDivisor, importance } });
}

function requireMode(mode: string): void {
  if ((MODES as readonly string[]).includes(mode)) return;
  const reason = typeof mode === "string" ? suggestion(mode, MODES) : `known are ${MODES.join(", ")}`;
  throw new TorchSearchError("ERR_UNKNOWN_MODE", `unknown mode ${describe(mode)}: ${reason}`);
}

function readConfig(config: ConvertConfig | null): Required<ConvertConfig> {
  if (config !== null && config !== undefined && !isRecord(config)) {
    throw expected("ERR_CONFIG_VALUE", "an object or nothing", "config", config);
  }
  const given = Object.entries(config ?? {}).filter(([, value]) => value !== undefined);
  const known = Object.keys(DEFAULTS);
  for (const [key] of given) {
    if (known.includes(key)) continue;
    throw new TorchSearchError(
      "ERR_UNKNOWN_CONFIG_KEY",
      `unknown config key "${key}": ${suggestion(key, known)}`,
    );
  }
  const settings = { ...DEFAULTS, ...Object.fromEntries(given) } as Required<ConvertConfig>;
  const { channelDivisor, importance, signal, onProgress } = settings;
  if (!isPositiveInteger(channelDivisor)) {
    throw expected("ERR_CONFIG_VALUE", "a whole number of at least 1", "channelDivisor", channelDivisor);
  }
  if (!IMPORTANCES.includes(importance)) {
    throw expected("ERR_CONFIG_VALUE", `one of ${IMPORTANCES.join(", ")}`, "importance", importance);
  }
  if (signal !== null && !(signal instanceof AbortSignal)) {
    throw expected("ERR_CONFIG_VALUE", "an AbortSignal or null", "signal", signal);
  }
  if (onProgress !== null && !isFunction(onProgress)) {
    throw expected("ERR_CONFIG_VALUE", "a function or null", "onProgress", onProgress);
  }
  return settings;
}
