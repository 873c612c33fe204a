/** A checkpoint's state of training is data from outside: it is checked before training goes on from it. */
import { isRecord } from "../util/check";
import type { TrainingState } from "./training-state";

/** Whether a value is a state as training writes it. A number that is not finite is null in JSON. */
export function isTrainingState(value: unknown): value is TrainingState {
  if (!isRecord(value)) return false;
  const { steps, epoch, losses, epochs, before, best, score, recalibratedBatches, finished } = value;
  return (
    [steps, epoch, recalibratedBatches].every(isCount) &&
    Array.isArray(losses) &&
    losses.every(isNumberOrNull) &&
    losses.length <= (steps as number) &&
    Array.isArray(epochs) &&
    epochs.length === epoch &&
    epochs.every(isEpochRecord) &&
    [before, score].every(isNumberOrNull) &&
    (best === null || (isRecord(best) && isCount(best.epoch) && isNumberOrNull(best.score))) &&
    typeof finished === "boolean"
  );
}

function isEpochRecord(value: unknown): boolean {
  return (
    isRecord(value) &&
    [value.epoch, value.steps].every(isCount) &&
    [value.loss, value.learningRate, value.score].every(isNumberOrNull)
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || typeof value === "number";
}
