/** The kind of space that every mode makes of a module. */
import type { SearchModel } from "../evaluation/types";
import type { SearchRecord } from "../model/history";
import type { Module } from "../model/module";
import type { CallOptions } from "../model/types";

/** Options of a space's `export`. */
export interface ExportOptions extends CallOptions {
  /** The search that chose what is exported, for the model's history; searchers give it. */
  search?: SearchRecord | null;
}

/** The result of `convert`: a model with variants to choose, by a search or by hand, and to export. */
export interface ModeSpace extends SearchModel {
  /** The mode it was converted by. */
  readonly mode: string;
  /** Whether `close()` was called. */
  readonly closed: boolean;
  /** The present choice as a module of its own, whose history `recordExport` has continued. */
  export(options?: ExportOptions): Promise<Module>;
  /** Lets go of the module, which stays open. */
  close(): void;
}
