/** Making native data sets. */
import { addon } from "./addon";
import type { NativeDataset, NativeDatasetOptions } from "./types/dataset";
import type { NativeTensor } from "./types/tensor";

/** A data set over tensors that share their first dimension. @throws `ERR_DATASET` */
export function makeDataset(tensors: NativeTensor[], options: NativeDatasetOptions): NativeDataset {
  return addon().Dataset.fromTensors(tensors, options);
}
