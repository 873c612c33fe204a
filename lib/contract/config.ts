/** The search config: its keys, defaults and checks, all in this file. */

import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import type { CollectFunction, ForwardLoop, LossFunction, ScoreFunction } from "../evaluation/types";
import { LatencyTable } from "../profile/latency-table";
import { describe, expected, isFunction, isPositiveInteger, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, orNull } from "../util/rules";
import { isMaster } from "./rank";
import type { Deployment } from "./types";

/** The config that every searcher understands; a searcher adds keys of its own in `defaultSearchConfig`. */
export interface SearchConfig {
  /** File that the search saves its state to and resumes from; null for none. */
  checkpoint: string | null;
  /** Whether to say on standard error what is going on. Off on ranks other than 0, whatever is asked. */
  verbose: boolean;
  /** Runs the model over data for its side effects. Excludes `dataLoader`. */
  forwardLoop: ForwardLoop | null;
  /** Batches for the forward loop: an iterable, or a function that returns one. Excludes `forwardLoop`. */
  dataLoader: DataSource | null;
  /** Picks the model's inputs out of a batch; null takes the batch's first element. */
  collectFunc: CollectFunction | null;
  /** At most so many batches a pass; null for all of them. */
  maxIterDataLoader: number | null;
  /** Rates a candidate; the higher, the better. */
  scoreFunc: ScoreFunction | null;
  /** The loss of a batch, for searchers that need one. */
  lossFunc: LossFunction | null;
  /** Where the subnet will run. */
  deployment: Deployment | null;
  /** Stops the search with `ERR_ABORTED`, within one batch. */
  signal: AbortSignal | null;
  /** Receives progress events. */
  onProgress: ProgressListener | null;
  /** Seed of the searcher's random generator. */
  seed: number;
}

/** Rules to build a searcher's own from. */
export const rules = {
  boolean: { expected: "true or false", accepts: (value) => typeof value === "boolean" },
  number: { expected: "a finite number", accepts: (value) => Number.isFinite(value) },
  string: { expected: "a string", accepts: (value) => typeof value === "string" },
  path: {
    expected: "a non-empty file path",
    accepts: (value) => typeof value === "string" && value.length > 0,
  },
  func: { expected: "a function", accepts: isFunction },
  positiveInteger: { expected: "a whole number of at least 1", accepts: isPositiveInteger },
  positive: {
    expected: "a finite number above 0",
    accepts: (value) => Number.isFinite(value) && (value as number) > 0,
  },
  share: {
    expected: "a number from 0 to 1",
    accepts: (value) => typeof value === "number" && value >= 0 && value <= 1,
  },
  integer: { expected: "a whole number", accepts: Number.isSafeInteger },
  dataSource: {
    expected: "an iterable of batches, sync or async, or a function that returns one",
    accepts: isDataSource,
  },
  deployment: {
    expected: "an object whose values are strings (latencyTable may be a LatencyTable)",
    accepts: (value) =>
      isRecord(value) &&
      Object.entries(value).every(
        ([key, item]) => typeof item === "string" || (key === "latencyTable" && item instanceof LatencyTable),
      ),
  },
  signal: { expected: "an AbortSignal", accepts: (value) => value instanceof AbortSignal },
} satisfies Record<string, ConfigRule>;

/** The checks of the keys that every searcher has. */
export const baseConfigRules: Readonly<Record<keyof SearchConfig, ConfigRule>> = {
  checkpoint: orNull(rules.path),
  verbose: rules.boolean,
  forwardLoop: orNull(rules.func),
  dataLoader: orNull(rules.dataSource),
  collectFunc: orNull(rules.func),
  maxIterDataLoader: orNull(rules.positiveInteger),
  scoreFunc: orNull(rules.func),
  lossFunc: orNull(rules.func),
  deployment: orNull(rules.deployment),
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
  seed: rules.integer,
};

/** A fresh copy of the defaults of {@link SearchConfig}. */
export function baseConfigDefaults(): SearchConfig {
  return {
    checkpoint: null,
    verbose: isMaster(),
    forwardLoop: null,
    dataLoader: null,
    collectFunc: null,
    maxIterDataLoader: null,
    scoreFunc: null,
    lossFunc: null,
    deployment: null,
    signal: null,
    onProgress: null,
    seed: 0,
  };
}

/**
 * Completes a config with defaults and checks it. A key given as `undefined` counts as not given.
 *
 * @param config what the user gave, or null for nothing
 * @param defaults all the keys that exist, with their defaults
 * @param extraRules rules for a searcher's own keys; a key without one must have its default's type, when that
 *   default is a boolean, number or string
 * @throws `ERR_UNKNOWN_CONFIG_KEY` naming the nearest key, `ERR_CONFIG_VALUE` saying what was expected
 */
export function sanitizeConfig<Config extends SearchConfig>(
  config: Partial<Config> | null | undefined,
  defaults: Config,
  extraRules: Readonly<Record<string, ConfigRule>> = {},
): Config {
  if (config !== null && config !== undefined && !isRecord(config)) {
    throw expected("ERR_CONFIG_VALUE", "an object or nothing", "config", config);
  }
  const sanitized: Record<string, unknown> = { ...(defaults as object) };
  const known = Object.keys(defaults);
  for (const [key, value] of Object.entries(config ?? {})) {
    if (!Object.hasOwn(defaults, key)) {
      throw new TorchSearchError(
        "ERR_UNKNOWN_CONFIG_KEY",
        `unknown config key "${key}": ${suggestion(key, known)}`,
      );
    }
    if (value === undefined) continue;
    const rule =
      extraRules[key] ??
      (baseConfigRules as Record<string, ConfigRule>)[key] ??
      ruleOfDefault(sanitized[key]);
    if (rule !== null && !rule.accepts(value)) throw expected("ERR_CONFIG_VALUE", rule.expected, key, value);
    sanitized[key] = value;
  }
  const result = sanitized as unknown as Config;
  // Only rank 0 talks, even where the user asks for more.
  result.verbose = result.verbose && defaults.verbose;
  requireOneDataPath(result);
  return result;
}

/** `forwardLoop` and `dataLoader` are two ways to say the same thing; having both is a mistake. */
export function requireOneDataPath(config: Pick<SearchConfig, "forwardLoop" | "dataLoader">): void {
  if (config.forwardLoop !== null && config.dataLoader !== null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `expected only one of forwardLoop and dataLoader but received both (dataLoader is ${describe(config.dataLoader)}); drop one`,
    );
  }
}

function ruleOfDefault(value: unknown): ConfigRule | null {
  if (typeof value === "boolean") return rules.boolean;
  if (typeof value === "number") return rules.number;
  if (typeof value === "string") return rules.string;
  return null;
}
