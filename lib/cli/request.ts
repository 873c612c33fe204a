/** The types of a search request and of its parts. */
import type { SettingsOf } from "./options/table";

/** All settings of a search, complete; a checkpoint keeps them as JSON. */
export interface SearchRequest extends Omit<SettingsOf<"search">, "searcher" | "output" | "checkpoint"> {
  /** Absolute path. */
  model: string;
  /** The short name of one of the mode's searchers. */
  searcher: string;
  /** Absolute path. */
  output: string;
  /** Absolute path. */
  checkpoint: string;
}

/** Where samples come from and how they are batched. Paths are absolute. */
export type DataRequest = Pick<
  SearchRequest,
  "data" | "inputArrays" | "targetArray" | "batchSize" | "shuffle" | "seed" | "images"
>;

/** How the model becomes a search space. */
export type SpaceRequest = Pick<
  SearchRequest,
  "model" | "device" | "input" | "mode" | "channelDivisor" | "importance" | "modeOptions"
>;
