/**
 * Scores, and the types of the functions that a search calls.
 *
 * @module torchsearch/evaluation
 */
export { LOSSES, type Loss } from "../evaluation/losses";
export type { OutputOptions } from "../evaluation/output-plan";
export type { ClassDimension } from "../evaluation/output-scores";
export {
  type BatchLoss,
  crossEntropy,
  customLoss,
  klDivergence,
  meanSquaredError,
  type ScoreOptions,
  type SquaredErrorOptions,
  type TopKOptions,
  topKAccuracy,
} from "../evaluation/scores";
export type { OutputKind, OutputMeaning, TeacherView } from "../evaluation/teacher-view";
export type {
  CollectFunction,
  ForwardLoop,
  LossFunction,
  PostProcessFunction,
  RunContext,
  ScoreFunction,
  SearchModel,
  StopRule,
} from "../evaluation/types";
