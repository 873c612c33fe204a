/** How channels are ranked in a compression: as the user says, or by trying the measures on the training data. */
import { TorchSearchError } from "../errors";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import type { ConvertConfig } from "../space/convert";
import { type Importance, importanceNeeds } from "../space/importance";
import type { SearchSpace } from "../space/search-space";
import type { SubnetConfig } from "../space/types";
import type { StepContext } from "./step-context";
import { searchScore } from "./step-score";

/** The measures that `auto` tries; those that need labels only with labels. */
const TRIED: readonly Importance[] = ["l2", "fpgm", "lamp", "bnScale", "activation", "taylor", "obd", "obs"];
/** The shares of the full widths that each is tried at. */
const SHARES = [0.75, 0.5];

/** What a measure says that can't rank this model's channels on these data. */
const UNMEASURABLE = new Set(["ERR_GRADIENT", "ERR_IMPORTANCE_NAN", "ERR_SCORE_NAN"]);

/** What `auto` found. */
export interface TriedImportance {
  /** The measure. */
  importance: Importance;
  /** The sum of the scores at the trial widths: the higher, the better. */
  score: number;
}

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
  const { options, signal } = context;
  const labelled = options.loss !== null;
  const tried: TriedImportance[] = [];
  let failed: unknown = null;
  for (const importance of TRIED.filter((each) => labelled || !importanceNeeds(each).targets)) {
    const module = await load();
    let space: SearchSpace | null = null;
    try {
      const config = { ...options.convert, ...ranking(context, importance), seed: options.seed, signal };
      space = await convert(module, "fastnas", options.dummyInput, config);
      tried.push({ importance, score: await trial(space, context) });
    } catch (error) {
      if (!(error instanceof TorchSearchError) || !UNMEASURABLE.has(error.code)) throw error;
      failed = error;
    } finally {
      space?.close();
      module.close();
    }
  }
  if (tried.length === 0) throw failed;
  // Sorting is stable: of equal ones the simpler wins.
  return tried.sort((a, b) => b.score - a.score);
}

/** The summed score of a space's subnets at the trial widths, treated as a step treats its candidates. */
async function trial(space: SearchSpace, context: StepContext): Promise<number> {
  const { options, training, signal } = context;
  const { collectFunc, searchBatches: maxBatches } = options;
  const run = { collectFunc, maxBatches, signal, silent: true };
  const score = searchScore(context);
  let sum = 0;
  if (options.reconstruct) await space.rateReconstructed(training, run);
  for (const share of SHARES) {
    space.select(uniform(space, share));
    await space.refit(signal);
    await space.recalibrate(training, run);
    sum += await score(space, { signal, silent: true });
  }
  return sum;
}

/** Every width at the largest choice within a share of its full one; all blocks stay. */
function uniform({ hyperparameters, fullConfig }: SearchSpace, share: number): SubnetConfig {
  const widths = hyperparameters.filter(({ kind }) => kind !== "depth");
  const narrowed = widths.map(({ name, choices, full }) => {
    const fitting = choices.filter((choice) => (choice as number) <= share * (full as number));
    return [name, fitting.at(-1) ?? choices[0]] as const;
  });
  return { ...fullConfig, ...Object.fromEntries(narrowed) } as SubnetConfig;
}
