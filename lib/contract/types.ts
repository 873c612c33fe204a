/** The types of a search: where it deploys, its constraints, its state and its result. */
import type { SearchModel } from "../evaluation/types";
import type { LatencyTable } from "../profile/latency-table";

/**
 * Where the searched model will run, as the reference has it: free text by key, for example `{ runtime: "trt" }`. Searchers
 * of search spaces look at `latencyTable`, `device` and `threads` when a constraint names `latency`.
 */
export interface Deployment {
  /** Latencies of the machine that the model will run on; a path is read, or measured here and written. */
  latencyTable?: LatencyTable | string;
  /** The device that the latency table must be of, such as `"cpu"`. */
  device?: string;
  /** The threads that the latency table must be of, such as `"1"`. */
  threads?: string;
  [key: string]: string | LatencyTable | undefined;
}

/** An upper bound: a number, a percentage of the full model such as `"60%"`, several by name, or null for none. */
export type ConstraintValue = number | string | null | { [name: string]: ConstraintValue };

/** Upper bounds by metric; all of them hold in what a search finds. */
export type Constraints = Record<string, ConstraintValue>;

/** What a search keeps and a checkpoint stores; see `checkpoint-codec.ts` for the values it may hold. */
export type SearchStateDict = Record<string, unknown>;

/** What a search gives. */
export interface SearchResult<State extends SearchStateDict = SearchStateDict, Subnet = SearchModel> {
  /** The model that won, ready for use. */
  subnet: Subnet;
  /** History and statistics, with exactly the keys of `defaultStateDict`. */
  stateDict: State;
}
