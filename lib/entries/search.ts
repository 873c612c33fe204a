/**
 * The searchers, and the parts to make one of your own from.
 *
 * @module torchsearch/search
 */
export {
  type AutoQuantizeConfig,
  AutoQuantizeSearcher,
  type AutoQuantizeState,
  type QuantizedResult,
} from "../search/format/auto-quantize";
export {
  FORMAT_LOSSES,
  FORMAT_SENSITIVITIES,
  type FormatLoss,
  type FormatSensitivity,
} from "../search/format/format-sensitivity";
export type { MilpReport } from "../search/solver/knapsack";
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
export { type BinarySearchConfig, BinarySearcher, type BinarySearchState } from "../search/width/binary";
export { type CandidateColumns, Candidates, subnetsOf } from "../search/width/candidates";
export { type EvolveSearchConfig, EvolveSearcher, type EvolveSearchState } from "../search/width/evolve";
export {
  type GradientSearchConfig,
  GradientSearcher,
  type GradientSearchState,
} from "../search/width/gradient";
export {
  type IterativeSearchConfig,
  IterativeSearcher,
  type IterativeSearchState,
} from "../search/width/iterative";
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
  budgetUse,
  crossover,
  fitWithin,
  type Limits,
  mutate,
  type SampledSpace,
  sampleWithin,
} from "../search/width/sampling";
export type { Sensitivity } from "../search/width/sensitivity";
export type { SensitivitySearchConfig, SensitivitySearchState } from "../search/width/sensitivity-searcher";
export {
  type ScoredSubnet,
  type SpaceProgress,
  SpaceSearcher,
  type SpaceSearchState,
} from "../search/width/space-searcher";
