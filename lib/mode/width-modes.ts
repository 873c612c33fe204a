/** The modes that choose the widths of a model's channels and which of its blocks are there. */
import type { Module } from "../module";
import { addon } from "../native/addon";
import { callNative } from "../native/call";
import { toNative } from "../native/values";
import { BinarySearcher } from "../search/binary";
import { EvolveSearcher } from "../search/evolve";
import { GradientSearcher } from "../search/gradient";
import { MilpSearcher } from "../search/milp";
import { ParetoSearcher } from "../search/pareto";
import { RandomSearcher } from "../search/random";
import { type ConfigRule, oneOf, orNull, rules } from "../searcher/config";
import { splitInputs } from "../searcher/data-source";
import type { ProgressListener } from "../searcher/types";
import {
  IMPORTANCE_LOSSES,
  IMPORTANCES,
  type ImportanceConfig,
  orderChannels,
  requireMatchingData,
} from "../space/importance";
import { SearchSpace } from "../space/search-space";
import { type ModeDescriptor, registerMode } from "./registry";

/** The config of the modes `fastnas` and `autonas`. */
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

const defaults: Required<ConvertConfig> = {
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

const configRules: Record<keyof ConvertConfig, ConfigRule> = {
  channelDivisor: rules.positiveInteger,
  importance: oneOf([...IMPORTANCES, "none"]),
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

/** The searchers of a space of widths, by the names that `search` and the command know. */
export const WIDTH_SEARCHERS = {
  binary: BinarySearcher,
  milp: MilpSearcher,
  gradient: GradientSearcher,
  evolve: EvolveSearcher,
  random: RandomSearcher,
  pareto: ParetoSearcher,
} as const;

function widthMode<Name extends string>(
  name: Name,
  defaultSearcher: keyof typeof WIDTH_SEARCHERS,
  description: string,
): ModeDescriptor<ConvertConfig, SearchSpace> & { name: Name } {
  const mode: ModeDescriptor<ConvertConfig, SearchSpace> & { name: Name } = {
    name,
    description,
    defaults,
    rules: configRules,
    check: requireMatchingData,
    convert: (module, dummyInput, config, from) => makeSpace(name, module, dummyInput, config, from),
    searchers: WIDTH_SEARCHERS,
    defaultSearcher,
  };
  registerMode(mode);
  return mode;
}

async function makeSpace(
  mode: string,
  module: Module,
  dummyInput: unknown,
  settings: Required<ConvertConfig>,
  moduleFingerprint: string,
): Promise<SearchSpace> {
  const { channelDivisor, depth, signal, onProgress } = settings;
  const { args, kwargs } = splitInputs(dummyInput);
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

/** NVIDIA ModelOpt's FastNAS: a trained model as it is, and how sensitive its score is to each width. */
export const fastnas = widthMode(
  "fastnas",
  "binary",
  "widths and blocks of a trained model, by their sensitivities",
);
/** NVIDIA ModelOpt's AutoNAS: subnets of a supernet, rated one by one. */
export const autonas = widthMode("autonas", "evolve", "widths and blocks of a supernet, by evolution");
