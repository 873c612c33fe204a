/**
 * The space of `fastnas` and `autonas`: widths, blocks, and hyperparameters of your own.
 *
 * @module torchsearch/space
 */
export type { ConvertConfig } from "../space/convert";
export type {
  ConstantHyperparameter,
  CustomHyperparameter,
  GraphConstant,
  TensorHyperparameter,
} from "../space/custom-hyperparameter";
export {
  type ChannelRank,
  type ChannelScoreConfig,
  IMPORTANCES,
  type Importance,
  type ImportanceConfig,
  type RankConfig,
} from "../space/importance";
export type {
  LatencyError,
  LatencyErrorOptions,
  LatencySample,
  LatencyTimingOptions,
  MeasureLatencyOptions,
} from "../space/latency";
export type { LayerChoice } from "../space/layer-choice";
export type { ExportOptions, ModeSpace } from "../space/mode-space";
export {
  type ParameterDimension,
  type Prunability,
  prunability,
  type WholeDimensions,
} from "../space/prunability";
export type { ReconstructedLayer, ReconstructOptions } from "../space/reconstruction";
export { type CostFunction, SearchSpace } from "../space/search-space";
export { Study } from "../space/study";
export type { StudyOptions } from "../space/study-options";
export type { StudyCandidate, StudyState } from "../space/study-types";
export {
  type ActivationReuse,
  type Hyperparameter,
  type HyperparameterKind,
  type RecalibrateOptions,
  SPACE_METRICS,
  type SpaceCosts,
  type SpaceMetric,
  type SubnetConfig,
  type Unprunable,
} from "../space/types";
export type { WidthBound, WidthBounds, WidthControl } from "../space/width-control";
