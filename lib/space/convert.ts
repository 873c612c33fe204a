import { TorchSearchError } from "../errors";
import { Module } from "../module";
import { addon } from "../native/addon";
import { callNative } from "../native/call";
import { toNative } from "../native/values";
import { type ConfigRule, orNull, rules } from "../searcher/config";
import { splitInputs } from "../searcher/data-source";
import type { ProgressListener } from "../searcher/types";
import { describe, expected, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import {
  IMPORTANCE_LOSSES,
  IMPORTANCES,
  type ImportanceConfig,
  orderChannels,
  requireMatchingData,
} from "./importance";
import { SearchSpace } from "./search-space";

/**
 * The modes of {@link convert}. `fastnas`: the channel widths of convolutions and linear layers, and which residual blocks
 * are there.
 */
export const MODES = ["fastnas"] as const;
export type Mode = (typeof MODES)[number];

/** The config of {@link convert}. */
export interface ConvertConfig extends ImportanceConfig {
  /** Widths to choose from are multiples of it, where the full width has any; default 8. */
  channelDivisor?: number;
  /** Whether residual blocks, where x + f(x) can be x alone, may be left out; default true. */
  depth?: boolean;
  /** Stops the conversion with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

const DEFAULTS: Required<ConvertConfig> = {
  channelDivisor: 8,
  importance: "l1",
  seed: 0,
  data: null,
  collectFunc: null,
  targetFunc: null,
  lossFunc: null,
  maxBatches: null,
  depth: true,
  signal: null,
  onProgress: null,
};

const RULES: Record<keyof ConvertConfig, ConfigRule> = {
  channelDivisor: rules.positiveInteger,
  importance: oneOf(IMPORTANCES),
  depth: rules.boolean,
  seed: {
    expected: "a whole number of at least 0",
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  },
  data: orNull(rules.dataSource),
  collectFunc: orNull(rules.func),
  targetFunc: orNull(rules.func),
  lossFunc: orNull(oneOf(IMPORTANCE_LOSSES)),
  maxBatches: orNull(rules.positiveInteger),
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
};

function oneOf(names: readonly string[]): ConfigRule {
  return {
    expected: `one of ${names.join(", ")}`,
    accepts: (value) => (names as readonly unknown[]).includes(value),
  };
}

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
 *   `ERR_UNKNOWN_OPERATOR` for a graph that can't be narrowed, `ERR_CLOSED`, `ERR_ABORTED`; with `data` also
 *   `ERR_EMPTY_LOADER`, `ERR_LOADER_ONE_SHOT`, `ERR_LOADER_FAILED`, `ERR_BATCH`, `ERR_SCORE_INPUT` for targets that
 *   don't fit the loss, `ERR_GRADIENT` for a model that can't be differentiated; `ERR_IMPORTANCE_NAN`. An error
 *   leaves the module as it was
 */
export async function convert(
  module: Module,
  mode: Mode,
  dummyInput: unknown,
  config: ConvertConfig | null = null,
): Promise<SearchSpace> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  requireMode(mode);
  const settings = readConfig(config);
  const { channelDivisor, depth, signal, onProgress } = settings;
  const { args, kwargs } = splitInputs(dummyInput);
  // Before the conversion changes the order of the weights, so that a file loaded anew has the same fingerprint.
  const moduleFingerprint = await module.fingerprint({ signal });
  const native = await callNative(
    (call) =>
      addon().SearchSpace.convert(
        module.native,
        toNative(args) as unknown[],
        toNative(kwargs) as Record<string, unknown>,
        { channelDivisor, depth },
        call,
      ),
    signal,
    onProgress
      ? ({ done, total, message }) => onProgress({ phase: "convert", done, total: total || null, message })
      : undefined,
  );
  try {
    const order = await orderChannels(native, settings, { signal, onProgress });
    const kept = { channelDivisor, depth, ...order };
    return SearchSpace.wrap(native, { mode, moduleFingerprint, settings: kept });
  } catch (error) {
    native.close();
    throw error;
  }
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
  for (const [key, rule] of Object.entries(RULES)) {
    const value = settings[key as keyof ConvertConfig];
    if (!rule.accepts(value)) throw expected("ERR_CONFIG_VALUE", rule.expected, key, value);
  }
  requireMatchingData(settings);
  return settings;
}
