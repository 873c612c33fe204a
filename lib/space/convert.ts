/** Making a search space of widths and blocks: its config, and the conversion. */
import { rules } from "../contract/config";
import type { DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { claimedPatterns } from "../model/claimed-patterns";
import { arrayClassOf } from "../model/dtype";
import { readHistory } from "../model/history";
import { nativeInputsOf } from "../model/inputs";
import type { Module } from "../model/module";
import { callNative } from "../native/call";
import { makeSearchSpace } from "../native/search-space";
import type { NativeSearchSpace } from "../native/types/search-space";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, orNull } from "../util/rules";
import { scoreTrials, trialScore, tryMeasures } from "./auto-importance";
import { keepBlocks } from "./block-damage";
import { warnOfLoss } from "./export-losses";
import {
  IMPORTANCE_DEFAULTS,
  IMPORTANCE_RULES,
  type Importance,
  type ImportanceConfig,
  importanceNeeds,
  orderChannels,
  type TriedImportance,
} from "./importance";
import { SearchSpace } from "./search-space";
import {
  type ControlledHyperparameter,
  controlled,
  hardwareMultiple,
  WIDTH_CONTROL_DEFAULTS,
  WIDTH_CONTROL_RULES,
  type WidthControl,
} from "./width-control";

/** The config of the modes `fastnas` and `autonas`. */
export interface ConvertConfig extends ImportanceConfig, WidthControl {
  /** Widths to choose from are multiples of it, where the full width has any; default 8. */
  channelDivisor?: number;
  /** Whether residual blocks, where x + f(x) can be x alone, may be left out; default true. */
  depth?: boolean;
  /** Stops the conversion with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
}

/** The defaults of {@link ConvertConfig}. */
export const CONVERT_DEFAULTS: Required<ConvertConfig> = {
  channelDivisor: 8,
  ...IMPORTANCE_DEFAULTS,
  depth: true,
  ...WIDTH_CONTROL_DEFAULTS,
  signal: null,
  onProgress: null,
};

/** The rules of {@link ConvertConfig}. */
export const CONVERT_RULES: Record<keyof ConvertConfig, ConfigRule> = {
  channelDivisor: rules.positiveInteger,
  ...IMPORTANCE_RULES,
  depth: rules.boolean,
  ...WIDTH_CONTROL_RULES,
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
};

/** Makes a space of a module, with its channels in order of importance. */
export async function convertWidths(
  mode: string,
  module: Module,
  dummyInput: unknown,
  settings: Required<ConvertConfig>,
  moduleFingerprint: string,
): Promise<SearchSpace> {
  const { channelDivisor, depth, signal, onProgress } = settings;
  const roundTo = multipleOf(settings.roundTo, module);
  const options = { channelDivisor: Math.max(channelDivisor, roundTo), depth };
  const native = await makeSearchSpace(module.native, nativeInputsOf(dummyInput), options, {
    signal,
    onProgress: onProgress
      ? ({ done, total, message }) => onProgress({ phase: "convert", done, total: total || null, message })
      : undefined,
  });
  try {
    requireKeptPatterns(module, native, settings);
    // Before the channels are moved: an error leaves the module as it was.
    const wanted = controlled(native.hyperparameters(), settings, roundTo);
    const { maxLeftOut } = settings;
    const chosen =
      maxLeftOut === null ? wanted : await keepBlocks(native, wanted, maxLeftOut, dummyInput, signal);
    const tried = await triedImportances(module, native, settings, chosen);
    const importance = tried?.[0]?.importance ?? (settings.importance as Importance | "none");
    const order = await orderChannels(module, native, measuring(settings, importance), {
      signal,
      onProgress,
    });
    const kept = { channelDivisor, depth, ...order, ...controlOf(settings, chosen) };
    const space = SearchSpace.wrap(
      native,
      { mode, moduleFingerprint, settings: kept, importances: tried },
      chosen,
    );
    for (const loss of space.exportLosses) warnOfLoss(loss);
    return space;
  } catch (error) {
    native.close();
    throw error;
  }
}

/** A conversion's settings with a measure, and what it learns from alone. */
function measuring(settings: Required<ConvertConfig>, importance: Importance | "none") {
  const needs = importanceNeeds(importance);
  return {
    ...settings,
    importance,
    ...(!needs.data && { data: null }),
    ...(!needs.targets && { loss: null, targetFunc: null }),
  };
}

/** What `importance: "auto"` finds, the best first; null for other choices. The channels' order stays as it was. */
async function triedImportances(
  module: Module,
  native: NativeSearchSpace,
  settings: Required<ConvertConfig>,
  chosen: readonly ControlledHyperparameter[],
): Promise<TriedImportance[] | null> {
  if (settings.importance !== "auto") return null;
  const { signal, onProgress, collectFunc, maxBatches, loss } = settings;
  const data = settings.data as DataSource;
  const run = { signal, onProgress, collectFunc, maxBatches, silent: true };
  const score = await trialScore(module, settings, run);
  const space = SearchSpace.wrap(native, { mode: "", moduleFingerprint: "", settings: {} }, chosen);
  return tryMeasures(loss !== null, async (importance) => {
    try {
      await orderChannels(module, native, measuring(settings, importance), { signal, onProgress });
      return await scoreTrials(space, score, { signal, prepare: () => space.recalibrate(data, run) });
    } finally {
      if (!native.closed) {
        space.select(space.fullConfig);
        await callNative((call) => native.restoreOrder(call)); // also after an abort
      }
    }
  });
}

/** The number that `roundTo` stands for. */
function multipleOf(roundTo: Required<ConvertConfig>["roundTo"], module: Module): number {
  if (roundTo !== "hardware") return roundTo ?? 1;
  const parameters = module.namedParameters().map(({ tensor }) => tensor);
  const dtype = parameters.find((tensor) => tensor.dtype.includes("float"))?.dtype ?? "float32";
  closeTensors(parameters);
  return hardwareMultiple(module.device, arrayClassOf(dtype).BYTES_PER_ELEMENT);
}

/** The part of a space's fingerprint that says what may be chosen; nothing where everything may. */
function controlOf(
  settings: Required<ConvertConfig>,
  chosen: readonly ControlledHyperparameter[],
): Record<string, string> {
  const keys = Object.keys(WIDTH_CONTROL_DEFAULTS) as (keyof WidthControl)[];
  const usual = keys.every(
    (key) => JSON.stringify(settings[key]) === JSON.stringify(WIDTH_CONTROL_DEFAULTS[key]),
  );
  return usual ? {} : { control: JSON.stringify(chosen.map(({ natives, choices }) => [natives, choices])) };
}

/** Channels in another order, and widths between two neighbourhoods, would part what a pattern N:M holds together. */
function requireKeptPatterns(
  module: Module,
  native: NativeSearchSpace,
  { importance }: Required<ConvertConfig>,
): void {
  for (const { n, m } of claimedPatterns(readHistory(module.native).records)) {
    const widths = native.hyperparameters().filter(({ kind }) => kind !== "depth" && kind !== "numHeads");
    const whole = widths.every(({ choices }) => choices.every((choice) => choice % m === 0));
    if (whole && importance === "none") continue;
    throw new TorchSearchError(
      "ERR_SPARSE_PATTERN",
      `The model's history says that its weights are ${n}:${m} sparse, and narrower layers keep that in whole neighbourhoods of ${m} inputs only: convert with importance "none" and a channelDivisor that is a multiple of ${m}; or search the dense model's widths first, and make the result sparse.`,
    );
  }
}
