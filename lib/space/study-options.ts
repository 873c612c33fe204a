/** The options of a study. */
import { requireOneDataPath, rules } from "../contract/config";
import { plainSettings } from "../contract/search-checkpoint";
import type { Constraints, Deployment } from "../contract/types";
import type { DataSource } from "../data/data-source";
import type { CollectFunction, ForwardLoop, ScoreFunction } from "../evaluation/types";
import type { SearchRecord } from "../model/history";
import { completeConfig } from "../util/complete-config";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, orNull } from "../util/rules";
import type { StudiedSpace } from "./study-types";

/** Options of `SearchSpace.study`. The keys that searchers have too mean the same. */
export interface StudyOptions {
  /** The file where the study saves its state, and where it goes on from; null for none. */
  checkpoint?: string | null;
  /** Seed of `Study.random`, and of the candidates that `ask` draws; default 0. */
  seed?: number;
  /** The share of at least one bound that drawn candidates take, 0 to 1; default 0. */
  minBudgetUse?: number;
  /** Batches to recalibrate batch norms with, before a candidate is scored and for the outcome. */
  dataLoader?: DataSource | null;
  /** Runs the model over data, in the place of `dataLoader`. */
  forwardLoop?: ForwardLoop | null;
  /** Picks the model's inputs out of a batch; null takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** The largest number of batches in a pass; null for all of them. */
  maxIterDataLoader?: number | null;
  /** Rates a candidate in `Study.score`; higher is better. */
  scoreFunc?: ScoreFunction | null;
  /** Where the subnet will run; for a bound on latency. */
  deployment?: Deployment | null;
  /** Stops what is under way with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
  /** Whether to log to standard error; default false. */
  verbose?: boolean;
}

const DEFAULTS: Required<StudyOptions> = {
  checkpoint: null,
  seed: 0,
  minBudgetUse: 0,
  dataLoader: null,
  forwardLoop: null,
  collectFunc: null,
  maxIterDataLoader: null,
  scoreFunc: null,
  deployment: null,
  signal: null,
  onProgress: null,
  verbose: false,
};

const RULES: Readonly<Record<keyof StudyOptions, ConfigRule>> = {
  checkpoint: orNull(rules.path),
  seed: rules.integer,
  minBudgetUse: rules.share,
  dataLoader: orNull(rules.dataSource),
  forwardLoop: orNull(rules.func),
  collectFunc: orNull(rules.func),
  maxIterDataLoader: orNull(rules.positiveInteger),
  scoreFunc: orNull(rules.func),
  deployment: orNull(rules.deployment),
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
  verbose: rules.boolean,
};

/** @throws `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE` */
export function completeStudyOptions(options: StudyOptions): Required<StudyOptions> {
  const complete = completeConfig<Required<StudyOptions>>(options, DEFAULTS, RULES);
  requireOneDataPath(complete);
  return complete;
}

/** The settings in a study's checkpoint: those of a search, which reports read. */
export function studySettings(
  { mode, device, hyperparameters }: StudiedSpace,
  constraints: Constraints<string>,
  options: Required<StudyOptions>,
  search: SearchRecord,
): Record<string, unknown> {
  const listed = hyperparameters.map(({ name, kind, full, choices }) => ({ name, kind, full, choices }));
  return {
    constraints,
    config: plainSettings(options),
    search,
    space: { mode, device, hyperparameters: listed },
    annotations: {},
  };
}
