/**
 * The contract of a search: the base class of searchers, configs, constraints, and checkpoints.
 *
 * @module torchsearch/contract
 */
export { BaseSearcher } from "../contract/base";
export { type Checkpoint, readCheckpoint } from "../contract/checkpoint";
export { rules, type SearchConfig } from "../contract/config";
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
} from "../contract/constraints";
export type { ConstructForwardLoopOptions } from "../contract/construct-forward-loop";
export type {
  BoundValue,
  Constraints,
  ConstraintsOf,
  ConstraintValue,
  Deployment,
  Percentage,
  SearchResult,
  SearchStateDict,
} from "../contract/types";
export type { MeasureOptions, WorkItem, WorkShare } from "../distributed/work-share";
export type { BoundedScore } from "../evaluation/score-model";
export type { PlainValue } from "../util/plain";
export { Random, type RandomState } from "../util/random";
export { type ConfigRule, oneOf, orNull } from "../util/rules";
