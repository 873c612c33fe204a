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
export type { CmaState } from "../search/width/cma";
export { type CmaEsSearchConfig, CmaEsSearcher, type CmaEsSearchState } from "../search/width/cmaes";
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
  type RankingSearchConfig,
  RankingSearcher,
  type RankingSearchState,
} from "../search/width/ranking";
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
  type MeasureAllOptions,
  type SearchTools,
  type SpaceProgress,
  SpaceSearcher,
} from "../search/width/space-searcher";
export { type TpeSearchConfig, TpeSearcher, type TpeSearchState } from "../search/width/tpe";
export {
  ITERATIVE_DEFAULTS,
  ITERATIVE_RULES,
  type IterativeSearchConfig,
  iterate,
} from "../search/width/trials";
export { type CandidateColumns, Candidates, subnetsOf } from "../space/candidates";
export {
  boundedCosts,
  budgetUse,
  crossover,
  fitWithin,
  mutate,
  type SampledSpace,
  sampleWithin,
} from "../space/sampling";
export type { ScoreStop } from "../space/trials";
export {
  ITERATIVE_KEYS,
  type IterativeSearchState,
  iterativeState,
  type PendingTrials,
  type Sampler,
  type Trial,
  Trials,
  type TrialTools,
} from "../space/trials";
export type { ScoredSubnet, SpaceSearchState } from "../space/types";
