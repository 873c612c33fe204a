import type { NativeTensor } from "./tensor";

/** Tensors with an equal first dimension, cut into batches; a batch is one slice of each tensor. */
export interface NativeDataset {
  readonly batches: number;
  readonly samples: number;
  readonly closed: boolean;
  batch(index: number): NativeTensor[];
  close(): void;
}

export interface NativeDatasetOptions {
  batchSize: number;
  /** Shuffles; the same seed gives the same order in every pass. */
  shuffleSeed?: number;
  dropLast?: boolean;
}

/** Exported by native/binding/dataset.cpp. */
export interface DatasetExports {
  Dataset: {
    new (tensors: NativeTensor[], options: NativeDatasetOptions): NativeDataset;
    fromTensors(tensors: NativeTensor[], options: NativeDatasetOptions): NativeDataset;
  };
}
