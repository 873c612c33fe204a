/** A model in a search: one search at a time, and afterwards it is as it was. */
import { TorchSearchError } from "../errors";
import { isFunction } from "../util/check";
import type { SearchModel } from "./types";

const MEMBERS = ["forward", "train", "eval", "fingerprint"] as const;

/** Whether a value can be searched at all. */
export function isModel(value: unknown): value is SearchModel {
  if (typeof value !== "object" || value === null) return false;
  return MEMBERS.every((member) => isFunction((value as Record<string, unknown>)[member]));
}

/** Models that a search is running on. */
const busyModels = new WeakSet<SearchModel>();

/** Runs `body` unless the model is in another one's already. @throws `ERR_BUSY` */
export async function exclusively<T>(model: SearchModel, body: () => Promise<T>): Promise<T> {
  if (busyModels.has(model)) {
    throw new TorchSearchError(
      "ERR_BUSY",
      "This model is being searched already; await that search, or load the model once more.",
    );
  }
  busyModels.add(model);
  try {
    return await body();
  } finally {
    busyModels.delete(model);
  }
}

/**
 * Runs `body`, then puts the model back: its training mode always, what else a search changes when `body` fails. Of
 * several errors the first one is told, even where the model is too broken to be put back.
 */
export async function restoring<T>(model: SearchModel, body: () => Promise<T>): Promise<T> {
  const wasTraining = model.training;
  const restoreState = model.captureState?.();
  let result: T;
  try {
    result = await body();
  } catch (error) {
    await ignoringErrors(() => restoreState?.());
    await ignoringErrors(() => model.train(wasTraining));
    throw error;
  }
  await model.train(wasTraining);
  return result;
}

async function ignoringErrors(step: () => unknown): Promise<void> {
  try {
    await step();
  } catch {}
}
