/**
 * The searchers, and the parts to make one of your own from.
 *
 * @module torchsearch/search
 */
export {
  type AutoQuantizeConfig,
  AutoQuantizeSearcher,
  type AutoQuantizeState,
} from "../search/format/auto-quantize";
export type { QuantizedResult } from "../search/format/format-result";
export {
  FORMAT_SENSITIVITIES,
  type FormatSensitivities,
  type FormatSensitivity,
} from "../search/format/format-sensitivity";
export type { MilpReport, SolverConfig } from "../search/solver/rounds";
export { type SparseGptConfig, SparseGptSearcher, type SparseGptState } from "../search/sparse/sparse-gpt";
export {
  type SparseMagnitudeConfig,
  SparseMagnitudeSearcher,
  type SparseMagnitudeState,
} from "../search/sparse/sparse-magnitude";
export {
  type SparseResult,
  type SparseSearchConfig,
  SparseSearcher,
  type SparseSearchState,
} from "../search/sparse/sparse-searcher";
export {
  type BinarySearchConfig,
  BinarySearcher,
  type BinarySearchState,
  type Bisection,
  bisect,
} from "../search/width/binary";
export { type CandidateColumns, Candidates, subnetsOf } from "../search/width/candidates";
export { type EvolveSearchConfig, EvolveSearcher, type EvolveSearchState } from "../search/width/evolve";
export {
  type GradientSearchConfig,
  GradientSearcher,
  type GradientSearchState,
} from "../search/width/gradient";
export { grow } from "../search/width/grow";
export {
  type MilpSearchConfig,
  MilpSearcher,
  type MilpSearchState,
  type MilpStep,
} from "../search/width/milp";
export { type ParetoSearchConfig, ParetoSearcher, type ParetoSearchState } from "../search/width/pareto";
export { formatView, ProgressTracker, type ProgressView } from "../search/width/progress";
export { type RandomSearchConfig, RandomSearcher, type RandomSearchState } from "../search/width/random";
export {
  boundedCosts,
  budgetUse,
  crossover,
  fitWithin,
  mutate,
  type SampledSpace,
  sampleWithin,
} from "../search/width/sampling";
export type { Sensitivity } from "../search/width/sensitivity";
export {
  consider,
  measureSensitivity,
  SENSITIVITY_DEFAULTS,
  SENSITIVITY_RULES,
  type SensitivitySearchConfig,
  type SensitivitySearchState,
  scoreFullModel,
  sensitivityState,
} from "../search/width/sensitivity-sweep";
export {
  type ScoredSubnet,
  type ScoreStop,
  type SearchTools,
  type SpaceProgress,
  SpaceSearcher,
  type SpaceSearchState,
} from "../search/width/space-searcher";
export {
  ITERATIVE_DEFAULTS,
  ITERATIVE_KEYS,
  ITERATIVE_RULES,
  type IterativeSearchConfig,
  type IterativeSearchState,
  iterate,
  iterativeState,
  type Sampler,
  type Trial,
  Trials,
} from "../search/width/trials";
