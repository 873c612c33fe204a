/** The types of a study. */
import type { ForwardLoop, SearchModel } from "../evaluation/types";
import type { Module } from "../model/module";
import type { TimedSpace } from "./latency-constraint";
import type { ExportOptions } from "./mode-space";
import type { SampledSpace } from "./sampling";
import type { IterativeSearchState } from "./trials";
import type { RecalibrateOptions, SpaceCosts, SubnetConfig } from "./types";

/** What a study uses of a space; a `SearchSpace` has it. */
export interface StudiedSpace extends SampledSpace, TimedSpace, SearchModel {
  readonly mode: string;
  readonly device: string;
  readonly metrics: readonly string[];
  readonly fullConfig: SubnetConfig;
  readonly smallestConfig: SubnetConfig;
  costs(config: Readonly<SubnetConfig>): SpaceCosts;
  select(config: Readonly<SubnetConfig>): void;
  /** Reconstructs the selected subnet, where candidates are rated so. */
  refit(signal: AbortSignal | null): Promise<void>;
  recalibrate(data: ForwardLoop, options?: RecalibrateOptions): Promise<void>;
  export(options?: ExportOptions): Promise<Module>;
}

/** A candidate that a study gave out. */
export interface StudyCandidate {
  /** A value for every hyperparameter. */
  readonly config: Readonly<SubnetConfig>;
  /** In each metric's unit. */
  readonly costs: SpaceCosts;
  /** Whether it meets all constraints. Only such a one can become the best. */
  readonly fits: boolean;
  /** Its score, if it was told before; else null. */
  readonly score: number | null;
}

/** What a study keeps: the state of a searcher that proposes candidates, and what was asked for and not told yet. */
export interface StudyState extends IterativeSearchState {
  /** Candidates that were asked for, and not told yet. */
  asked: SubnetConfig[];
  /** Whatever the optimizer wants to find again after a restart: `Study.memory`. */
  memory: unknown;
}
