/** The outcome of a search, as a document. */
import type { RunVersions } from "../native/versions";
import type { Compared, ComparedRatings } from "./comparison";
import type { ConfirmedLatency } from "./confirmed-search";
import type { Found } from "./search-modes";
import type { Undershoot } from "./undershoot";

/** A measurement of the full model and of the result. */
export interface Change {
  before: number;
  after: number;
}

/** What is rated and measured of a result. */
export interface RatedOutcome extends ComparedRatings {
  /** Ratings on data that the search did not use; null when none were held out. */
  heldOut: ({ samples: number } & ComparedRatings) | null;
  /** Bytes of the model files, and median milliseconds of a forward pass of one example input on this machine. */
  measured: { fileBytes: Change; latency: Change };
  /** The training of the result; null where the search did not train it. */
  finetuned: { output: string; epochs: number } | null;
  /** The arguments of the command that trains the result, where a rating fell by more than its noise; else null. */
  next: string[] | null;
}

/** What `torchsearch search --json` prints. */
export interface SearchOutcome extends Found, RatedOutcome {
  model: string;
  output: string;
  checkpoint: string;
  mode: string;
  searcher: string;
  score: Compared & { name: string; title: string };
  /** True where the file keeps float weights of the same size: costs are those of a runtime that uses the format. */
  simulated: boolean;
  /** Shapes of the example input that costs refer to. */
  inputs: number[][];
  /** Upper bounds, in each metric's unit. */
  bounds: Record<string, number>;
  /** Whether all bounds hold. */
  met: boolean;
  /** Where latency is bounded and the table is of this machine: whether the bound holds as measured; else null. */
  latency: ConfirmedLatency | null;
  /** Bounds that the result stays far below. */
  undershot: Undershoot[];
  /** Seconds of all runs of the search. */
  seconds: number;
  versions: RunVersions;
}
