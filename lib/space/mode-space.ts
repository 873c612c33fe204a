/** What every mode makes of a module. */
import type { SearchModel } from "../evaluation/types";
import type { SearchRecord } from "../model/history";
import type { Module } from "../model/module";
import type { CallOptions } from "../model/types";

/** Options of a space's `export`. */
export interface ExportOptions extends CallOptions {
  /** The search that chose what is exported, for the model's history; searchers give it. */
  search?: SearchRecord | null;
}

/** What `convert` gives: a model of which variants can be chosen, by a search or by hand, and exported. */
export interface ModeSpace extends SearchModel {
  /** The mode it was converted by. */
  readonly mode: string;
  /** Whether `close()` was called. */
  readonly closed: boolean;
  /** What is chosen now, as a module of its own, whose history `recordExport` has continued. */
  export(options?: ExportOptions): Promise<Module>;
  /** Lets go of the module, which stays open. */
  close(): void;
}
