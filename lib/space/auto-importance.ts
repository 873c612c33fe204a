/** `importance: "auto"`: measures of importance that are tried on data, and the one that loses least. */
import type { DataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { forEachBatch } from "../evaluation/forward-loop";
import { inputsPicker } from "../evaluation/pickers";
import { crossEntropy, meanSquaredError, teacherDistance } from "../evaluation/scores";
import { type TeacherView, viewTeacher } from "../evaluation/teacher-view";
import type { RunContext, ScoreFunction, SearchModel } from "../evaluation/types";
import { type Importance, type ImportanceConfig, importanceNeeds, type TriedImportance } from "./importance";
import type { SearchSpace } from "./search-space";
import type { SubnetConfig } from "./types";

/** The measures that are tried; those that need labels only with labels. */
const TRIED: readonly Importance[] = ["l2", "fpgm", "lamp", "bnScale", "activation", "taylor", "obd", "obs"];
/** The shares of the full widths that each is tried at. */
const SHARES = [0.75, 0.5];
/** What a measure says that can't rank this model's channels on these data. */
const UNMEASURABLE = new Set(["ERR_GRADIENT", "ERR_IMPORTANCE_NAN", "ERR_SCORE_NAN"]);

/** A line about the measures of importance that were tried. */
export function describeImportances(tried: readonly TriedImportance[]): string {
  const scores = tried.map(({ importance, score }) => `${importance} ${score.toPrecision(4)}`);
  return `Importances by their scores at 75 % and 50 % of all widths, summed: ${scores.join(", ")}. Chosen: ${tried[0]?.importance}.`;
}

/** Tries the measures, and gives them with the best first. @throws what every one of them throws */
export async function tryMeasures(
  labelled: boolean,
  trial: (importance: Importance) => Promise<number>,
): Promise<TriedImportance[]> {
  const tried: TriedImportance[] = [];
  let failed: unknown = null;
  for (const importance of TRIED.filter((each) => labelled || !importanceNeeds(each).targets)) {
    try {
      tried.push({ importance, score: await trial(importance) });
    } catch (error) {
      if (!(error instanceof TorchSearchError) || !UNMEASURABLE.has(error.code)) throw error;
      failed = error;
    }
  }
  if (tried.length === 0) throw failed;
  // Sorting is stable: of equal ones the simpler wins.
  return tried.sort((a, b) => b.score - a.score);
}

/** The summed score of a space's subnets at the trial widths. @param prepare prepares the one that is selected */
export async function scoreTrials(
  space: SearchSpace,
  score: ScoreFunction,
  { signal, prepare }: { signal: AbortSignal | null; prepare(): Promise<unknown> },
): Promise<number> {
  let sum = 0;
  for (const share of SHARES) {
    space.select(uniform(space, share));
    await prepare();
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

/**
 * How trials are scored: by the loss where the config has one, so that the data have targets; else by the distance of
 * the outputs from the full model's.
 */
export async function trialScore(
  full: SearchModel,
  config: Required<ImportanceConfig>,
  { signal }: RunContext,
): Promise<ScoreFunction> {
  const { collectFunc, targetFunc, maxBatches, loss, outputKey, classDimension } = config;
  const data = config.data as DataSource;
  const how = { collectFunc, targetFunc, maxBatches, outputKey, classDimension, onNotice: () => {} };
  if (loss === "crossEntropy") return crossEntropy(data, how);
  if (loss === "meanSquaredError") return meanSquaredError(data, how);
  const inputsOf = inputsPicker(collectFunc);
  let view: TeacherView | null = null;
  await forEachBatch("importance", data, { maxBatches: 1, signal, silent: true }, async (batch) => {
    view = await viewTeacher(full, inputsOf(batch), "auto", signal ?? null);
  });
  return teacherDistance(data, full, view as unknown as TeacherView, {
    collectFunc,
    maxBatches,
    onNotice: () => {},
  });
}
