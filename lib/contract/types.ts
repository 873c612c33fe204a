/** The types of a search: where it deploys, its constraints, its state and its result. */
import type { SearchModel } from "../evaluation/types";
import type { LatencyTable } from "../profile/latency-table";
import type { MetricName } from "../profile/metrics";

/**
 * Where the searched model will run: strings by key, as in ModelOpt, for example `{ runtime: "trt" }`. Searchers of
 * search spaces read `latencyTable`, `device` and `threads` when a constraint names `latency`.
 */
export interface Deployment {
  /** Latencies on the machine that the model will run on. A path is read, or measured here and written. */
  latencyTable?: LatencyTable | string;
  /** The device that the latencies must have been measured on, such as `"cpu"`. */
  device?: string;
  /** The number of threads that the latencies must have been measured with. */
  threads?: number;
  [key: string]: string | number | LatencyTable | undefined;
}

/** A percentage of the full model's value, such as `"60%"`. */
export type Percentage = `${number}%`;

/**
 * One bound: a number in the metric's unit, a percentage of the full model's value such as `"60%"`, or null for none.
 */
export type BoundValue = number | Percentage | null;

/**
 * The constraint on one metric: an upper bound; a pair `[lower, upper]`, for searchers that take lower bounds; or
 * several by name.
 */
export type ConstraintValue =
  | BoundValue
  | readonly [lower: BoundValue, upper: BoundValue]
  | { readonly [name: string]: ConstraintValue };

/** Constraints on some metrics, and no others. */
export type BoundsOn<Name extends string> = { readonly [Metric in Name]?: ConstraintValue };

/**
 * Constraints by metric. A search's result meets all of them.
 *
 * @typeParam Own names of metrics that the library does not know: `Constraints<"energy">`; `Constraints<string>` takes any
 */
export type Constraints<Own extends string = never> = {
  readonly [Metric in MetricName | Own]?: ConstraintValue;
};

/**
 * The constraints on a model: on the metrics that its method `cost` takes, as a space has it. On a model without such a
 * method, they may name every metric of the library.
 */
export type ConstraintsOf<Model> = [Model] extends [never]
  ? Constraints<string>
  : Model extends { cost(config: never, metric: infer Name extends string): number }
    ? { readonly [Metric in Name]?: ConstraintValue }
    : Constraints;

/** The state that a search keeps and a checkpoint stores; `state-values.ts` lists the values it may hold. */
export type SearchStateDict = Record<string, unknown>;

/** The result of a search. */
export interface SearchResult<State extends SearchStateDict = SearchStateDict, Subnet = SearchModel> {
  /** The best model that meets the constraints, ready for use. */
  subnet: Subnet;
  /** History and statistics, with exactly the keys of `defaultStateDict`. */
  stateDict: State;
}
