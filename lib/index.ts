export { INTERPOLATIONS, type Interpolation } from "./data/image-decode";
export {
  type ImageBatch,
  ImageFolderLoader,
  type ImageFolderOptions,
} from "./data/image-folder";
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
export {
  type DeviceMemory,
  deviceMemory,
  type GraphCapture,
  graphCapture,
  resetDeviceMemoryPeak,
  setGraphCapture,
} from "./device";
export { TorchSearchError, type TorchSearchErrorOptions } from "./errors";
export { type FinetuneResult, finetune } from "./finetune/finetune";
export type { BatchGradient, LossAndGradient } from "./finetune/loss-function";
export {
  type FinetuneOptions,
  OPTIMIZERS,
  SCHEDULES,
  TRAINING_LOSSES,
  type TrainingOptions,
} from "./finetune/options";
export { type SupernetResult, trainSupernet } from "./finetune/supernet";
export type { SupernetOptions } from "./finetune/supernet-options";
export type { TrainingResult } from "./finetune/training-result";
export type { EpochRecord, TrainingProgress } from "./finetune/training-run";
export { type ModeRecord, recordExport, type SearchRecord, searchRecordOf } from "./mode/history";
export {
  type ExportOptions,
  type ModeDescriptor,
  type ModeSearcher,
  type ModeSpace,
  modeNames,
  registerMode,
} from "./mode/registry";
export { exportModel, type SearchCallConfig, search } from "./mode/search";
export type { SparseConfig } from "./mode/sparse-modes";
export type { ConvertConfig } from "./mode/width-modes";
export {
  type CallOptions,
  type Input,
  type LoadOptions,
  Module,
  type NamedTensor,
  type Output,
} from "./module";
export { initialize } from "./native/load";
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
} from "./search/auto-quantize";
export {
  type BinarySearchConfig,
  BinarySearcher,
  type BinarySearchState,
} from "./search/binary";
export { type CandidateColumns, Candidates, subnetsOf } from "./search/candidates";
export { type EvolveSearchConfig, EvolveSearcher, type EvolveSearchState } from "./search/evolve";
export {
  FORMAT_LOSSES,
  FORMAT_SENSITIVITIES,
  type FormatLoss,
  type FormatSensitivity,
} from "./search/format-sensitivity";
export { type GradientSearchConfig, GradientSearcher, type GradientSearchState } from "./search/gradient";
export { type IterativeSearchConfig, IterativeSearcher, type IterativeSearchState } from "./search/iterative";
export type { MilpReport } from "./search/knapsack";
export {
  type MilpSearchConfig,
  MilpSearcher,
  type MilpSearchState,
  type MilpStep,
} from "./search/milp";
export { type ParetoSearchConfig, ParetoSearcher, type ParetoSearchState } from "./search/pareto";
export { formatView, ProgressTracker, type ProgressView } from "./search/progress";
export { type RandomSearchConfig, RandomSearcher, type RandomSearchState } from "./search/random";
export {
  budgetUse,
  crossover,
  fitWithin,
  type Limits,
  mutate,
  type SampledSpace,
  sampleWithin,
} from "./search/sampling";
export type { Sensitivity } from "./search/sensitivity";
export type { SensitivitySearchConfig, SensitivitySearchState } from "./search/sensitivity-searcher";
export {
  type ScoredSubnet,
  type SpaceProgress,
  SpaceSearcher,
  type SpaceSearchState,
} from "./search/space-searcher";
export { type SparseGptConfig, SparseGptSearcher, type SparseGptState } from "./search/sparse-gpt";
export {
  type SparseMagnitudeConfig,
  SparseMagnitudeSearcher,
  type SparseMagnitudeState,
} from "./search/sparse-magnitude";
export {
  type SparseResult,
  type SparseSearchConfig,
  SparseSearcher,
  type SparseSearchState,
} from "./search/sparse-searcher";
export { BaseSearcher, type ConstructForwardLoopOptions } from "./searcher/base";
export { type Checkpoint, readCheckpoint } from "./searcher/checkpoint";
export { type ConfigRule, orNull, rules, type SearchConfig } from "./searcher/config";
export {
  type Bound,
  type Bounds,
  type Costs,
  KNOWN_METRICS,
  type Metric,
  parseConstraints,
  requireReachable,
  resolveBounds,
  resolveConstraints,
  satisfies,
  violated,
} from "./searcher/constraints";
export type { BatchIterable, DataSource } from "./searcher/data-source";
export {
  type BatchLoss,
  crossEntropy,
  customLoss,
  klDivergence,
  meanSquaredError,
  type ScoreOptions,
  type TopKOptions,
  topKAccuracy,
} from "./searcher/scores";
export type {
  CollectFunction,
  Constraints,
  ConstraintValue,
  Deployment,
  ForwardLoop,
  LossFunction,
  PostProcessFunction,
  ProgressEvent,
  ProgressListener,
  RunContext,
  ScoreFunction,
  SearchModel,
  SearchResult,
  SearchStateDict,
  StopRule,
} from "./searcher/types";
export { convert, type Mode, type ModeMap } from "./space/convert";
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
export {
  type DType,
  type Element,
  type NestedElements,
  Tensor,
  type TensorOptions,
  type TypedArray,
} from "./tensor";
export { getThreads, setThreads } from "./threads";
export type { PlainValue } from "./util/plain";
export { Random, type RandomState } from "./util/random";
export type { RunVersions } from "./util/versions";
