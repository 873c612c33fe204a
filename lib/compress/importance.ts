/** How channels are ranked in a compression: as the user says, or by trying the measures on the training data. */
import { TorchSearchError } from "../errors";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import { scoreTrials, tryMeasures } from "../space/auto-importance";
import type { ConvertConfig } from "../space/convert";
import type { TriedImportance } from "../space/importance";
import { type Importance, importanceNeeds } from "../space/importance";
import type { SearchSpace } from "../space/search-space";
import type { StepContext } from "./step-context";
import { searchScore } from "./step-score";

/** The part of a conversion's config that ranks channels by a measure, with the training data where it learns. */
export function ranking(
  { options, training }: Pick<StepContext, "options" | "training">,
  importance: Importance | "none",
): Partial<ConvertConfig> {
  const needs = importanceNeeds(importance);
  const { collectFunc, targetFunc, searchBatches: maxBatches, loss } = options;
  if (!needs.data) return { importance, data: null };
  if (needs.targets && loss === null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `importance "${importance}" learns from labels, which these data don't have: choose ` +
        '"obs", "activation" or a measure of the weights, or "auto".',
    );
  }
  if (options.convert.data != null) return { importance };
  const targets = needs.targets ? { targetFunc, loss } : {};
  return { importance, data: training, collectFunc, maxBatches, ...targets };
}

/** Tries the measures on uniformly narrowed subnets, and gives them with the best first. */
export async function tryImportances(
  context: StepContext,
  load: () => Promise<Module>,
): Promise<TriedImportance[]> {
  const { options, training, signal } = context;
  const { collectFunc, searchBatches: maxBatches } = options;
  const run = { collectFunc, maxBatches, signal, silent: true };
  return tryMeasures(options.loss !== null, async (importance) => {
    const module = await load();
    let space: SearchSpace | null = null;
    try {
      const config = { ...options.convert, ...ranking(context, importance), seed: options.seed, signal };
      const found = await convert(module, "fastnas", options.dummyInput, config);
      space = found;
      // As a step treats its candidates.
      if (options.reconstruct) await found.rateReconstructed(training, run);
      return await scoreTrials(found, searchScore(context), {
        signal,
        prepare: async () => {
          await found.refit(signal);
          await found.recalibrate(training, run);
        },
      });
    } finally {
      space?.close();
      module.close();
    }
  });
}
