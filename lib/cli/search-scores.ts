/** The score of a request, and the accuracy that is shown beside it. */

import type { DataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { LOSS_TABLE, lossFor } from "../evaluation/losses";
import { givesOneColumn } from "../evaluation/output-plan";
import { crossEntropy, klDivergence, meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { RunContext, ScoreFunction } from "../evaluation/types";
import type { Module } from "../model/module";
import type { BatchRange } from "./batch-range";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import type { ScoreName } from "./options/rows/search";
import { once } from "./output";
import type { SearchRequest } from "./request";

/** How candidates are rated. */
export interface ChosenScore {
  name: Exclude<ScoreName, "auto">;
  /** Such as "top-5 accuracy". */
  title: string;
  score: ScoreFunction;
  /** Accuracy, shown beside a score that is hard to read; null without labels. */
  accuracy: ScoreFunction | null;
}

/** The part of the data that a score needs. */
export type ScoredData = Pick<OpenData, "target" | "labels" | "rows" | "collect"> & { loader: DataSource };

/** Batches that a score is measured on. */
export interface ScoredBatches {
  data: OpenData;
  range: BatchRange;
  samples: number;
}

/** A model's ratings. */
export interface Ratings {
  score: number;
  accuracy: number | null;
}

/**
 * The score that the request names. `auto` is minus the cross-entropy for labels, minus the squared error for other
 * targets, and minus the divergence from the full model without targets; where the full model's outputs have one column,
 * whose divergence is always 0, minus the squared error from its outputs.
 *
 * @param say receives what was decided without being asked for
 * @throws `ERR_CLI_OPTION` when the score needs targets and there are none
 */
export async function chooseScore(
  request: SearchRequest,
  data: ScoredData,
  full: Module,
  say: (line: string) => void,
): Promise<ChosenScore> {
  const { loader, target, labels } = data;
  const { topK, outputKey, classDimension } = request;
  const name = request.score === "auto" ? automatic(data) : request.score;
  if (target === null && name !== "klDivergence" && name !== "meanSquaredError") {
    throw badOption(
      `The score ${name} needs targets: name their array with --target-array, or take --score klDivergence.`,
    );
  }
  const onNotice = once(say);
  const options = {
    maxBatches: request.maxBatches,
    collectFunc: data.collect,
    target: target ?? undefined,
    outputKey,
    classDimension,
    onNotice,
  };
  const accuracy = labels ? topKAccuracy(loader, { ...options, k: topK }) : null;
  if (name === "accuracy") {
    const title = topK === 1 ? "accuracy" : `top-${topK} accuracy`;
    return { name, title, score: topKAccuracy(loader, { ...options, k: topK }), accuracy: null };
  }
  const title = `-${LOSS_TABLE[name].title}`;
  const fromFull: ChosenScore = {
    name: "meanSquaredError",
    title: `-${LOSS_TABLE.meanSquaredError.title} from the full model's outputs`,
    score: meanSquaredError(loader, { ...options, teacher: full }),
    accuracy: null,
  };
  switch (name) {
    case "crossEntropy":
      return { name, title, score: crossEntropy(loader, options), accuracy };
    case "meanSquaredError":
      return target === null
        ? fromFull
        : { name, title, score: meanSquaredError(loader, options), accuracy: null };
    case "klDivergence":
      if (request.score === "auto" && (await givesOneColumn(full, loader, options))) {
        onNotice(
          "The model's outputs have one column, whose KL divergence is always 0: candidates are scored by the squared error " +
            "from the full model's outputs.",
        );
        return fromFull;
      }
      return { name, title, score: klDivergence(loader, full, options), accuracy };
  }
}

function automatic({ target, labels, rows }: ScoredData): Exclude<ScoreName, "auto"> {
  return target === null ? "klDivergence" : lossFor(labels || rows === "probabilities");
}

/**
 * Rates the full model, before the search. A divergence needs no labels, so an accuracy that they don't fit is left out.
 *
 * @param say receives the reason
 */
export async function rateFull(
  chosen: ChosenScore,
  module: Module,
  context: RunContext,
  say: (line: string) => void,
): Promise<Ratings> {
  const { name, accuracy } = chosen;
  const score = await chosen.score(module, context);
  if (accuracy === null) return { score, accuracy: null };
  try {
    return { score, accuracy: await accuracy(module, context) };
  } catch (error) {
    if (name !== "klDivergence" || !(error instanceof TorchSearchError) || error.code !== "ERR_SCORE_INPUT")
      throw error;
    say(`The targets aren't used, since they don't fit the outputs as labels: ${error.message}`);
    chosen.accuracy = null;
    return { score, accuracy: null };
  }
}

/** Rates a module. */
export async function rate(
  { score, accuracy }: ChosenScore,
  module: Module,
  context: RunContext,
): Promise<Ratings> {
  return {
    score: await score(module, context),
    accuracy: accuracy === null ? null : await accuracy(module, context),
  };
}
