/** What the steps of a compression share. */
import type { DataSource } from "../data/data-source";
import type { Module } from "../model/module";
import type { Importance } from "../space/importance";
import type { CarriedControl } from "./carried-control";
import type { CompleteCompressOptions } from "./options";
import type { Rater } from "./rating";

/** What all steps share. */
export interface StepContext {
  options: CompleteCompressOptions;
  /** The full model, which is only read. */
  full: Module;
  rater: Rater;
  /** Batches that are learned from. */
  training: DataSource;
  carried: CarriedControl;
  /** How channels are ranked. */
  importance: Importance | "none";
  /** The most that the rating may fall. */
  limit: number;
  signal: AbortSignal | null;
  /** The latency table's file; null without a bound on latency. */
  latencyTable: string | null;
  /** How much slower files were than the table says. */
  correction: number;
  /** Loads a model of an earlier step; 0 for a copy of the full one. */
  load(step: number): Promise<Module>;
  loadFile(file: string): Promise<Module>;
  /** What the step's training takes, and keeping it for a resumed run. */
  learningRate: { readonly known: number | null; keep(rate: number): Promise<void> };
  /** Makes a copy of a module. */
  copy(module: Module): Promise<Module>;
  /** The file of a step's model, and what stands beside it while the step is not done. */
  files(step: number): { model: string; search: string; training: string };
  fullCosts: Readonly<Record<string, number>>;
}
