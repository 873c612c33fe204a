/** The types of a search space of widths and blocks. */
import type { RunContext } from "../evaluation/types";
import type { NativeHyperparameterKind } from "../native/types/search-space";
import { type ComputedMetricOf, computedMetricsOf, type MetricOf } from "../profile/metrics";
import type { TriedImportance } from "./importance";

/** A subnet: the value of each hyperparameter, by name. */
export type SubnetConfig = Record<string, number>;

/** The metrics that `SearchSpace.cost` always knows. */
export const SPACE_METRICS = computedMetricsOf("widths");
/**
 * The metrics that `SearchSpace.cost` accepts: {@link SPACE_METRICS}, and `latency` (milliseconds) once the space has a
 * latency table.
 *
 * @typeParam Own the names that `SearchSpace.addMetric` was given
 */
export type SpaceMetric<Own extends string = never> = MetricOf<"widths"> | Own;

/**
 * All costs of a subnet.
 *
 * @typeParam Own the names that `SearchSpace.addMetric` was given
 */
export type SpaceCosts<Own extends string = never> = Record<ComputedMetricOf<"widths"> | Own, number> & {
  latency?: number;
} & { [metric: string]: number };

/**
 * The thing that a hyperparameter counts: `outChannels` of a convolution, features of a linear layer (`hiddenWidth`),
 * attention heads (`numHeads`), or whether a residual block is there (`depth`: 0 or 1). A `custom` one is a choice of
 * the user's own, which counts nothing.
 */
export type HyperparameterKind = NativeHyperparameterKind | "custom";

/**
 * Something to choose: a width, which is a number of channels that are kept or dropped together in every parameter they
 * touch; whether a residual block is there; or what `SearchSpace.addHyperparameter` added.
 */
export interface Hyperparameter {
  /**
   * For a width, the path of the first module whose output channels are counted, such as `layer1.0.conv1`. For a block,
   * its path and `.depth`, such as `layer1.1.depth`. For one of the user's own, the name that it was given.
   */
  readonly name: string;
  /** The thing that it counts. */
  readonly kind: HyperparameterKind;
  /**
   * The values to choose from, ascending; the last one is the full model's, unless the config's `maxWidth` is below it.
   * A block has 0 (left out) and 1. One of the user's own has numbers, or positions of tensors, in the order given, and
   * the model's own value last.
   */
  readonly choices: readonly number[];
  /** The value of the model as it was converted. */
  readonly full: number;
  /** How many channels one of a width stands for, such as a head's; else 1. */
  readonly channels: number;
  /** The other hyperparameters that have the same value, by the config's `ties`. */
  readonly tied: readonly string[];
  /** Why the config allows it one value only; null where it doesn't say so. */
  readonly fixed: string | null;
  /** The value in the subnet that is selected now. */
  readonly active: number;
  /**
   * The position, in the order of execution, of the first operator that it changes. The operators before it compute the
   * same for all choices.
   */
  readonly begins: number;
}

/** The memory of kept activations, and the work that they have saved; see `SearchSpace.reuse`. */
export interface ActivationReuse {
  /** Bytes that may be held; 0 while nothing is kept. */
  budget: number;
  /** Bytes held now. */
  bytes: number;
  /** The most bytes that were held. */
  peak: number;
  /** Batches whose activations are held now. */
  entries: number;
  /** Forwards since the space was made, while activations were kept. */
  forwards: number;
  /** Forwards that continued from kept activations. */
  hits: number;
  /** Operators that these forwards ran. */
  instructionsRun: number;
  /** Operators that these forwards skipped. */
  instructionsSkipped: number;
  /** Multiply-adds that these forwards ran. */
  macsRun: number;
  /** Multiply-adds that these forwards skipped. */
  macsSkipped: number;
}

/** A dimension of a parameter that stays whole, and why. */
export interface Unprunable {
  /** The parameter's path; or that of a residual block that can't be left out although it adds to what it is given. */
  parameter: string;
  /** Counted from 0; -1 for a block. */
  dimension: number;
  /** A sentence. */
  reason: string;
}

/** Options of `SearchSpace.recalibrate`. */
export interface RecalibrateOptions extends RunContext {
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: ((batch: never) => unknown) | null;
  /** At most so many batches of a loader; null (the default) for all. */
  maxBatches?: number | null;
}

/** A subnet that was scored. */
export interface ScoredSubnet {
  /** Widths by hyperparameter. */
  config: SubnetConfig;
  /** NaN where scoring was stopped early. */
  score: number;
  /** In each metric's unit. */
  costs: SpaceCosts;
  /** Where scoring was stopped early: an upper bound of the score. */
  atMost?: number;
  /** Where scoring was stopped early: the probability that `atMost` is wrong; 0 where it is certain. */
  errorProbability?: number;
}

/** What every searcher of a `SearchSpace` keeps. */
export interface SpaceSearchState {
  /** The full model's costs; null before they were computed. */
  fullCosts: SpaceCosts | null;
  /** Upper bounds that the rest of the state belongs to, in each metric's unit. */
  bounds: Record<string, number> | null;
  /** The subnet with the highest score among those that meet the bounds; null before one was scored. */
  best: ScoredSubnet | null;
}

/** Where a space comes from; `SearchSpace.fingerprint` is made of it. */
export interface SpaceOrigin {
  mode: string;
  /** The module's fingerprint before it was converted. */
  moduleFingerprint: string;
  /** The settings of the conversion that decide which channels a width stands for. */
  settings: Readonly<Record<string, string | number | boolean>>;
  /** What the conversion's `importance: "auto"` tried; no part of the fingerprint. */
  importances?: readonly Readonly<TriedImportance>[] | null;
}
