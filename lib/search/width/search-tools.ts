/** What a searcher of a space lends to the parts that it is made of. */
import type { Bounds } from "../../contract/constraints";
import type { SearchSpace } from "../../space/search-space";
import type { ScoreStop } from "../../space/trials";
import type { ScoredSubnet, SubnetConfig } from "../../space/types";
import type { ProgressEvent } from "../../util/progress";
import type { Random } from "../../util/random";

/** How {@link SearchTools.measureAll} goes about it. */
export interface MeasureAllOptions {
  /** Whether each candidate goes on from the activations of the one before: then neighbours stay together. */
  inOrder?: boolean;
  /** How long each candidate takes, in any unit; by default its FLOPs. */
  predicted?: readonly number[];
  /** Receives each candidate in order, as soon as it and those before it are measured. */
  onResult?(subnet: ScoredSubnet, at: number): void | Promise<void>;
}

/**
 * What a searcher lends to the functions and objects that it is made of, such as `measureSensitivity` and
 * `iterate`; see `SpaceSearcher.tools`.
 */
export interface SearchTools {
  /** The space that is searched. */
  readonly space: SearchSpace;
  /** The constraints as upper bounds, in each metric's unit. */
  readonly bounds: Bounds;
  /** The searcher's random numbers. */
  readonly random: Random;
  /** Aborts the search. */
  readonly signal: AbortSignal | null;
  /** Selects a candidate, recalibrates it unless it is the full model, and rates it. */
  score(config: Readonly<SubnetConfig>): Promise<number>;
  /** Rates the full model with its batch norms recalibrated; null where the config has no calibration data. */
  scoreRecalibrated(): Promise<number | null>;
  /** As `score`, with the candidate's costs; may stop early where a rule is given. */
  measure(config: SubnetConfig, stop?: ScoreStop | null): Promise<ScoredSubnet>;
  /** As `measure` for each, shared among the processes of the config's `group`. */
  measureAll(configs: readonly SubnetConfig[], options?: MeasureAllOptions): Promise<ScoredSubnet[]>;
  /** What one process makes for all, where it may differ between machines: a solver's solution, or a time. */
  once<T>(make: () => Promise<T>): Promise<T>;
  /** How many candidates can be measured at the same time. */
  readonly parallel: number;
  /** Whether a subnet meets all constraints, without running it. */
  fits(config: Readonly<SubnetConfig>): boolean;
  /** Saves the state to the checkpoint. */
  save(): Promise<void>;
  /** Sends a progress event, whose details include `SpaceProgress`. */
  report(event: Omit<ProgressEvent, "details">, details?: Record<string, unknown>): void;
  /** Writes a line to standard error when the config is verbose. */
  log(line: string): void;
}
