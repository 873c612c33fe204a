/**
 * Models and tensors, devices, threads, and the history of a model.
 *
 * @module torchsearch/model
 */
export {
  type DeviceMemory,
  deviceMemory,
  type GraphCapture,
  graphCapture,
  resetDeviceMemoryPeak,
  setGraphCapture,
} from "../model/device";
export { type ModeRecord, type SearchRecord, searchRecordOf } from "../model/history";
export { Module } from "../model/module";
export { recordExport } from "../model/record-export";
export {
  type DType,
  type Element,
  type NestedElements,
  Tensor,
  type TensorOptions,
  type TypedArray,
} from "../model/tensor";
export { getThreads, setThreads } from "../model/threads";
export type {
  CallOptions,
  Input,
  LoadOptions,
  NamedTensor,
  Output,
  SampleInputs,
  SaveOptions,
} from "../model/types";
export { initialize } from "../native/load";
export type { RunVersions } from "../native/versions";
