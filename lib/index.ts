export { BaseSearcher, type ConstructForwardLoopOptions } from "./contract/base";
export { type Checkpoint, readCheckpoint } from "./contract/checkpoint";
export { rules, type SearchConfig } from "./contract/config";
export {
  type Bounds,
  type Costs,
  KNOWN_METRICS,
  type Metric,
  type ResolvedConstraints,
  requireReachable,
  resolveConstraints,
  satisfies,
  violated,
} from "./contract/constraints";
export type {
  BoundValue,
  Constraints,
  ConstraintValue,
  Deployment,
  SearchResult,
  SearchStateDict,
} from "./contract/types";
export type { BatchIterable, DataSource } from "./data/data-source";
export { INTERPOLATIONS, type Interpolation } from "./data/image-decode";
export { type ImageBatch, ImageFolderLoader, type ImageFolderOptions } from "./data/image-folder";
export type { ImagePreprocessing } from "./data/image-preprocess";
export {
  type RawTensor,
  readSafetensors,
  type SafetensorsDtype,
  type SafetensorsFile,
} from "./data/safetensors";
export {
  type FileLoaderOptions,
  type LoaderOptions,
  type TensorBatch,
  TensorDataLoader,
} from "./data/tensor-loader";
export { TorchSearchError, type TorchSearchErrorOptions } from "./errors";
export { LOSSES, type Loss } from "./evaluation/losses";
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
export type { BatchGradient, LossAndGradient } from "./finetune/loss-function";
export {
  type FinetuneOptions,
  OPTIMIZERS,
  SCHEDULES,
  type TrainingOptions,
} from "./finetune/options";
export { type SupernetResult, trainSupernet } from "./finetune/supernet";
export type { SupernetOptions } from "./finetune/supernet-options";
export type { TrainingResult } from "./finetune/training-result";
export type { EpochRecord, TrainingProgress } from "./finetune/training-state";
export { convert, type Mode, type ModeMap } from "./mode/convert";
export { type ModeDescriptor, type ModeSearcher, modeNames, registerMode } from "./mode/registry";
export { exportModel, type SearchCallConfig, search } from "./mode/search";
export {
  type DeviceMemory,
  deviceMemory,
  type GraphCapture,
  graphCapture,
  resetDeviceMemoryPeak,
  setGraphCapture,
} from "./model/device";
export { type ModeRecord, type SearchRecord, searchRecordOf } from "./model/history";
export { Module } from "./model/module";
export { recordExport } from "./model/record-export";
export {
  type DType,
  type Element,
  type NestedElements,
  Tensor,
  type TensorOptions,
  type TypedArray,
} from "./model/tensor";
export { getThreads, setThreads } from "./model/threads";
export type { CallOptions, Input, LoadOptions, NamedTensor, Output } from "./model/types";
export { initialize } from "./native/load";
export type { RunVersions } from "./native/versions";
export {
  type FormatProfileOptions,
  formatProfile,
  type LatencyProfile,
  type OperatorProfile,
  type Profile,
  type ProfileMetric,
  type ProfileOptions,
  profile,
} from "./profile";
export {
  type LatencyConditions,
  type LatencyEntry,
  type LatencyPoint,
  LatencyTable,
  type LatencyTableJson,
} from "./profile/latency-table";
export type { QuantizeConfig } from "./quantization/convert";
export { QUANTIZATION_METRICS, type QuantizationMetric } from "./quantization/costs";
export { type FakeQuantized, type FakeQuantizeOptions, fakeQuantize } from "./quantization/fake-quantize";
export {
  CALIBRATIONS,
  type Calibration,
  type FormatChoice,
  type LayerFormat,
  type NumberFormat,
  QUANTIZATION_FORMATS,
  type QuantizationFormat,
} from "./quantization/formats";
export {
  type CalibrateOptions,
  type FormatConfig,
  type QuantizableLayer,
  type QuantizationChoice,
  QuantizationSpace,
} from "./quantization/space";
export {
  type ReportCosts,
  type ReportData,
  type ReportDensity,
  type ReportFormats,
  type ReportMeasurement,
  type ReportOperator,
  type ReportSensitivity,
  type ReportWidth,
  readReportData,
  renderReport,
  writeReport,
} from "./report";
export {
  type AutoQuantizeConfig,
  AutoQuantizeSearcher,
  type AutoQuantizeState,
  type QuantizedResult,
} from "./search/format/auto-quantize";
export {
  FORMAT_LOSSES,
  FORMAT_SENSITIVITIES,
  type FormatLoss,
  type FormatSensitivity,
} from "./search/format/format-sensitivity";
export type { MilpReport } from "./search/solver/knapsack";
export { type SparseGptConfig, SparseGptSearcher, type SparseGptState } from "./search/sparse/sparse-gpt";
export {
  type SparseMagnitudeConfig,
  SparseMagnitudeSearcher,
  type SparseMagnitudeState,
} from "./search/sparse/sparse-magnitude";
export {
  type SparseResult,
  type SparseSearchConfig,
  SparseSearcher,
  type SparseSearchState,
} from "./search/sparse/sparse-searcher";
export { type BinarySearchConfig, BinarySearcher, type BinarySearchState } from "./search/width/binary";
export { type CandidateColumns, Candidates, subnetsOf } from "./search/width/candidates";
export { type EvolveSearchConfig, EvolveSearcher, type EvolveSearchState } from "./search/width/evolve";
export {
  type GradientSearchConfig,
  GradientSearcher,
  type GradientSearchState,
} from "./search/width/gradient";
export {
  type IterativeSearchConfig,
  IterativeSearcher,
  type IterativeSearchState,
} from "./search/width/iterative";
export {
  type MilpSearchConfig,
  MilpSearcher,
  type MilpSearchState,
  type MilpStep,
} from "./search/width/milp";
export { type ParetoSearchConfig, ParetoSearcher, type ParetoSearchState } from "./search/width/pareto";
export { formatView, ProgressTracker, type ProgressView } from "./search/width/progress";
export { type RandomSearchConfig, RandomSearcher, type RandomSearchState } from "./search/width/random";
export {
  budgetUse,
  crossover,
  fitWithin,
  type Limits,
  mutate,
  type SampledSpace,
  sampleWithin,
} from "./search/width/sampling";
export type { Sensitivity } from "./search/width/sensitivity";
export type { SensitivitySearchConfig, SensitivitySearchState } from "./search/width/sensitivity-searcher";
export {
  type ScoredSubnet,
  type SpaceProgress,
  SpaceSearcher,
  type SpaceSearchState,
} from "./search/width/space-searcher";
export type { ConvertConfig } from "./space/convert";
export type {
  ConstantHyperparameter,
  CustomHyperparameter,
  GraphConstant,
  TensorHyperparameter,
} from "./space/custom-hyperparameter";
export {
  type ChannelScoreConfig,
  IMPORTANCE_LOSSES,
  IMPORTANCES,
  type Importance,
  type ImportanceConfig,
  type ImportanceLoss,
} from "./space/importance";
export type {
  LatencyError,
  LatencyErrorOptions,
  LatencySample,
  LatencyTimingOptions,
  MeasureLatencyOptions,
} from "./space/latency";
export type { ExportOptions, ModeSpace } from "./space/mode-space";
export {
  type ParameterDimension,
  type Prunability,
  prunability,
  type WholeDimensions,
} from "./space/prunability";
export {
  type ActivationReuse,
  type CostFunction,
  type Hyperparameter,
  type HyperparameterKind,
  type RecalibrateOptions,
  SearchSpace,
  SPACE_METRICS,
  type SpaceCosts,
  type SpaceMetric,
  type SubnetConfig,
  type Unprunable,
} from "./space/search-space";
export type { SparseConfig } from "./sparsity/convert";
export type { SparsityPattern } from "./sparsity/pattern";
export {
  type DenseParameter,
  type DensityConfig,
  type LayerSparsity,
  SPARSE_METRICS,
  type SparseLayer,
  type SparseMetric,
  SparseSpace,
  type SparsifyOptions,
} from "./sparsity/space";
export type { PlainValue } from "./util/plain";
export type { ProgressEvent, ProgressListener } from "./util/progress";
export { Random, type RandomState } from "./util/random";
export { type ConfigRule, orNull } from "./util/rules";
