import type { NativeOutputView } from "./score";

/** What learns from batches that the whole model runs on; `SearchSpace.measure` feeds it. */
export interface NativeMeasure {
  readonly needsTarget: boolean;
}

/** A measure of how much channels matter. */
export interface NativeImportance extends NativeMeasure {
  /** Whether it must be fed before it gives scores. */
  readonly needsData: boolean;
  /** How outputs are read from now on, for `taylor` and `obd`. */
  readOutputs(view: NativeOutputView): void;
}

export interface NativeImportanceOptions {
  /** `random`, `obd` */
  seed?: number;
  /** `taylor`, `obd`: `crossEntropy` or `meanSquaredError`. */
  loss?: string;
}

/** Exported by native/binding/importance.cpp. */
export interface ImportanceExports {
  /** ERR_CONFIG_VALUE for a name or loss that does not exist. */
  Importance: new (
    name: string,
    options?: NativeImportanceOptions,
  ) => NativeImportance;
}
