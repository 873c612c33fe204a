/**
 * What most programs need. Everything else is in an entry point for its topic, such as `torchsearch/contract`. Those
 * export the root's names of their topic too: the same values, so that there is one copy of every class.
 *
 * The examples take some names for granted: `module`, a classifier of digits; its `dummyInput`; `data`, a loader of
 * images and labels; `scoreFunc`, a score over `data`; and `space`, which `convert(module, "fastnas", dummyInput)`
 * made.
 *
 * @module torchsearch
 */

export { type CompressResult, compress } from "./compress/compress";
export type { CompressOptions } from "./compress/options";
export { BaseSearcher } from "./contract/base";
export { type Checkpoint, readCheckpoint } from "./contract/checkpoint";
export type { SearchConfig } from "./contract/config";
export type {
  BoundsOn,
  BoundValue,
  Constraints,
  ConstraintValue,
  Deployment,
  Percentage,
  SearchResult,
  SearchStateDict,
} from "./contract/types";
export type { BatchIterable, DataSource } from "./data/data-source";
export { type ImageBatch, ImageFolderLoader, type ImageFolderOptions } from "./data/image-folder";
export {
  type FileLoaderOptions,
  type LoaderOptions,
  type TensorBatch,
  TensorDataLoader,
} from "./data/tensor-loader";
export type { Group } from "./distributed/group";
export { type JoinGroupOptions, joinGroup } from "./distributed/join";
export { TorchSearchError, type TorchSearchErrorOptions } from "./errors";
export {
  type BatchLoss,
  crossEntropy,
  customLoss,
  klDivergence,
  meanSquaredError,
  type ScoreOptions,
  type TopKOptions,
  topKAccuracy,
} from "./evaluation/scores";
export type { OutputKind, OutputMeaning, TeacherView } from "./evaluation/teacher-view";
export type {
  CollectFunction,
  ForwardLoop,
  LossFunction,
  PostProcessFunction,
  RunContext,
  ScoreFunction,
  SearchModel,
  StopRule,
} from "./evaluation/types";
export { type FinetuneResult, finetune } from "./finetune/finetune";
export type { FinetuneOptions } from "./finetune/options";
export { type SupernetResult, trainSupernet } from "./finetune/supernet";
export type { SupernetOptions } from "./finetune/supernet-options";
export type { Mode, ModeMap } from "./mode/built-in";
export { convert } from "./mode/convert";
export { type ModeDescriptor, type ModeSearcher, registerMode } from "./mode/registry";
export { exportModel, type SearchCallConfig, search } from "./mode/search";
export {
  type DeviceMemory,
  deviceMemory,
  type GraphCapture,
  graphCapture,
  resetDeviceMemoryPeak,
  setGraphCapture,
} from "./model/device";
export type { ModeRecord } from "./model/history";
export { Module } from "./model/module";
export {
  type DType,
  type Element,
  type NestedElements,
  Tensor,
  type TensorOptions,
  type TypedArray,
} from "./model/tensor";
export { getThreads, setThreads } from "./model/threads";
export type {
  CallOptions,
  Input,
  LoadOptions,
  NamedTensor,
  Output,
  SampleInputs,
  SaveOptions,
} from "./model/types";
export { initialize } from "./native/load";
export { type FormatProfileOptions, formatProfile } from "./profile/format";
export { LatencyTable } from "./profile/latency-table";
export { profile } from "./profile/profile";
export type {
  LatencyProfile,
  OperatorProfile,
  Profile,
  ProfileMetric,
  ProfileOptions,
} from "./profile/types";
export type { QuantizeConfig } from "./quantization/convert";
export { type FormatConfig, QuantizationSpace } from "./quantization/space";
export { writeReport } from "./report";
export { AutoQuantizeSearcher } from "./search/format/auto-quantize";
export { SparseGptSearcher } from "./search/sparse/sparse-gpt";
export { SparseMagnitudeSearcher } from "./search/sparse/sparse-magnitude";
export { BinarySearcher } from "./search/width/binary";
export { EvolveSearcher } from "./search/width/evolve";
export { GradientSearcher } from "./search/width/gradient";
export { MilpSearcher } from "./search/width/milp";
export { ParetoSearcher } from "./search/width/pareto";
export { RandomSearcher } from "./search/width/random";
export { SpaceSearcher } from "./search/width/space-searcher";
export type { ConvertConfig } from "./space/convert";
export type { TriedImportance } from "./space/importance";
export type { ExportOptions, ModeSpace } from "./space/mode-space";
export type { Prunability } from "./space/prunability";
export { type CostFunction, SearchSpace } from "./space/search-space";
export type { Study } from "./space/study";
export type { StudyOptions } from "./space/study-options";
export type { StudyCandidate, StudyState } from "./space/study-types";
export type {
  Hyperparameter,
  HyperparameterKind,
  SpaceCosts,
  SpaceMetric,
  SubnetConfig,
} from "./space/types";
export type { SparseConfig } from "./sparsity/convert";
export { type DensityConfig, SparseSpace } from "./sparsity/space";
export type { ProgressEvent, ProgressListener } from "./util/progress";
export { Random, type RandomState } from "./util/random";
