/** How the candidates of a step's search are rated. */
import { crossEntropy, meanSquaredError, teacherDistance } from "../evaluation/scores";
import type { ScoreFunction } from "../evaluation/types";
import type { StepContext } from "./step-context";

/** How the candidates of a search are rated: on training data, so that the held-out data stay unseen. */
export function searchScore({ options, full, rater, training }: StepContext): ScoreFunction {
  const { collectFunc, targetFunc, searchBatches: maxBatches, loss } = options;
  const how = { collectFunc, targetFunc, maxBatches, onNotice: () => {} };
  if (loss === "crossEntropy") return crossEntropy(training, how);
  if (loss === "meanSquaredError") return meanSquaredError(training, how);
  return teacherDistance(training, full, rater.view, how);
}
