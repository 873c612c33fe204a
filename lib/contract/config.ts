/** The search config: its keys, defaults and checks. */

import { type DataSource, isDataSource } from "../data/data-source";
import { Group } from "../distributed/group";
import { TorchSearchError } from "../errors";
import type { CollectFunction, ForwardLoop, LossFunction, ScoreFunction } from "../evaluation/types";
import { LatencyTable } from "../profile/latency-table";
import { describe, isPositiveInteger, isRecord } from "../util/check";
import { completeConfig } from "../util/complete-config";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, orNull, plainRules } from "../util/rules";
import { isMaster } from "./rank";
import type { Deployment } from "./types";

/**
 * The config of every searcher. A searcher adds keys of its own, or leaves out some of these, in `defaultSearchConfig`.
 */
export interface SearchConfig {
  /**
   * Where the search saves its state, and where it resumes from: a file; or a folder with a file for each rank, when it
   * ends in a separator, has no extension, or is one already. Null for none.
   */
  checkpoint: string | null;
  /** Whether to log to standard error. Always off on ranks other than 0. */
  verbose: boolean;
  /** Runs the model over data for its side effects. Excludes `dataLoader`. */
  forwardLoop: ForwardLoop | null;
  /** Batches for the forward loop: an iterable, or a function that returns one. Excludes `forwardLoop`. */
  dataLoader: DataSource | null;
  /** Picks the model's inputs out of a batch; null takes the batch's first element. */
  collectFunc: CollectFunction | null;
  /** The largest number of batches in a pass; null for all of them. */
  maxIterDataLoader: number | null;
  /** Rates a candidate; higher is better. */
  scoreFunc: ScoreFunction | null;
  /** The loss of a batch, for searchers that need one. No built-in searcher reads it: they take losses by name. */
  lossFunc: LossFunction | null;
  /** Where the subnet will run. */
  deployment: Deployment | null;
  /** Stops the search with `ERR_ABORTED`, within one batch. */
  signal: AbortSignal | null;
  /** Receives progress events. */
  onProgress: ProgressListener | null;
  /** Seed of the searcher's random generator. */
  seed: number;
  /**
   * The processes that search together, from `joinGroup`: each runs the same search, and what is measured is shared among
   * them (docs/guides/distributed.md). Null for this process alone.
   */
  group: Group | null;
  /**
   * Into how many parts a candidate's batches are cut, to be measured in several processes of the group: a number, or
   * `auto` for as many as keep all processes busy where they outnumber the candidates. Built-in scores over built-in
   * loaders can be cut, and the score stays the same, to the bit. Null for 1.
   */
  dataShards: number | "auto" | null;
}

/** Rules to build a searcher's own from. */
export const rules = {
  ...plainRules,
  dataSource: {
    expected: "an iterable of batches, sync or async, or a function that returns one",
    accepts: isDataSource,
  },
  deployment: {
    expected: "an object whose values are strings (latencyTable may be a LatencyTable, threads is a number)",
    accepts: (value) =>
      isRecord(value) && Object.entries(value).every(([key, item]) => isDeploymentValue(key, item)),
    remedy: (value) => {
      const threads = isRecord(value) ? value.threads : undefined;
      if (threads === undefined || isPositiveInteger(threads)) return null;
      return isPositiveInteger(Number(threads))
        ? `threads is now a number: write ${Number(threads)}`
        : "threads must be a whole number of at least 1";
    },
  },
} satisfies Record<string, ConfigRule>;

function isDeploymentValue(key: string, value: unknown): boolean {
  if (value === undefined) return true;
  if (key === "threads") return isPositiveInteger(value);
  return typeof value === "string" || (key === "latencyTable" && value instanceof LatencyTable);
}

/** The rules of the base config's keys. */
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
  group: orNull({ expected: "what joinGroup() gave", accepts: (value) => value instanceof Group }),
  dataShards: orNull({
    expected: 'a whole number of at least 1, or "auto"',
    accepts: (value) => value === "auto" || isPositiveInteger(value),
  }),
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
    group: null,
    dataShards: null,
  };
}

/**
 * Completes a searcher's config with defaults and checks it.
 *
 * @param config what the user gave, or null for nothing
 * @param defaults all keys that exist, with their defaults
 * @param extraRules rules for a searcher's own keys; see {@link completeConfig}
 * @throws `ERR_UNKNOWN_CONFIG_KEY` naming the nearest key, `ERR_CONFIG_VALUE` saying what was expected
 */
export function sanitizeConfig<Config extends Partial<SearchConfig>>(
  config: Partial<Config> | null | undefined,
  defaults: Config,
  extraRules: Readonly<Record<string, ConfigRule>> = {},
): Config {
  if (isRecord(config)) requireSpread(Object.keys(config), defaults);
  const sanitized = completeConfig(config, defaults, { ...baseConfigRules, ...extraRules });
  // Only rank 0 writes to the terminal, even where the user asks for more.
  if (defaults.verbose === false) sanitized.verbose = false;
  requireOneDataPath(sanitized);
  return sanitized;
}

/** Refuses a config with both `forwardLoop` and `dataLoader`, because they are two ways to do the same. */
export function requireOneDataPath(config: Partial<SearchConfig>): void {
  if ((config.forwardLoop ?? null) !== null && (config.dataLoader ?? null) !== null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `expected only one of forwardLoop and dataLoader but received both (dataLoader is ${describe(config.dataLoader)}); drop one`,
    );
  }
}

/** The error for a `defaultSearchConfig` that leaves out everything of its base class. */
function withoutSuper(searcher: string): TorchSearchError {
  return new TorchSearchError(
    "ERR_DEFAULT_CONFIG",
    `defaultSearchConfig of ${searcher} has none of its base class's keys: return { ...super.defaultSearchConfig, … } with ` +
      "your own keys added.",
  );
}

/** Whether a config, or its defaults, has none of the base class's keys. */
function lacksBase(config: object): boolean {
  return !Object.keys(baseConfigDefaults()).some((key) => Object.hasOwn(config, key));
}

/** A given key of the base class is unknown where a subclass forgot the defaults of its base class. */
function requireSpread(given: readonly string[], defaults: object): void {
  const base = baseConfigDefaults();
  if (lacksBase(defaults) && given.some((key) => Object.hasOwn(base, key) && !Object.hasOwn(defaults, key)))
    throw withoutSuper("this searcher");
}

/**
 * Refuses a complete config without the base class's keys, which the searchers of a space read.
 *
 * @throws `ERR_DEFAULT_CONFIG`
 */
export function requireBaseConfig(config: object, searcher: string): void {
  if (lacksBase(config)) throw withoutSuper(searcher);
}
