/** A model in a search: one search at a time, and the model is restored afterwards. */
import { TorchSearchError } from "../errors";
import { isFunction } from "../util/check";
import type { SearchModel } from "./types";

const MEMBERS = ["forward", "train", "eval", "fingerprint"] as const;

/** Whether a value has the members of a {@link SearchModel}. */
export function isModel(value: unknown): value is SearchModel {
  if (typeof value !== "object" || value === null) return false;
  return MEMBERS.every((member) => isFunction((value as Record<string, unknown>)[member]));
}

/** Models and searchers that are in use. */
const busy = new WeakSet<object>();

const MODEL_BUSY = "This model is being searched already; await that search, or load the model once more.";
/** The message for a searcher that is in a search already. */
export const SEARCHER_BUSY =
  "This searcher is searching already; await that search, or make another searcher.";

/** Runs `body`, unless it or another body runs for the same owner already. @throws `ERR_BUSY` with `message` */
export async function exclusively<T>(
  owner: object,
  body: () => Promise<T>,
  message: string = MODEL_BUSY,
): Promise<T> {
  if (busy.has(owner)) throw new TorchSearchError("ERR_BUSY", message);
  busy.add(owner);
  try {
    return await body();
  } finally {
    busy.delete(owner);
  }
}

/**
 * Runs `body`, then restores the model: its training mode always, and everything else that a search changes when `body`
 * fails. The first error is thrown, even when restoring the model fails as well.
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
