/** The score of a request, and the accuracy that is shown beside it. */

import type { DataSource } from "../data/data-source";
import { LOSS_TABLE, lossFor } from "../evaluation/losses";
import { crossEntropy, klDivergence, meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { RunContext, ScoreFunction } from "../evaluation/types";
import type { Module } from "../model/module";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import type { ScoreName } from "./options/rows/search";
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
export type ScoredData = Pick<OpenData, "target" | "labels" | "collect"> & { loader: DataSource };

/** A model's ratings. */
export interface Ratings {
  score: number;
  accuracy: number | null;
}

/**
 * The score that the request names. `auto` is minus the cross-entropy for labels, minus the squared error for other
 * targets, and minus the divergence from the full model without targets.
 *
 * @throws `ERR_CLI_OPTION` when the score needs targets and there are none
 */
export function chooseScore(request: SearchRequest, data: ScoredData, full: Module): ChosenScore {
  const { loader, target, labels } = data;
  const name = request.score === "auto" ? automatic(data) : request.score;
  if (target === null && name !== "klDivergence") {
    throw badOption(
      `The score ${name} needs targets: name their array with --target-array, or take --score klDivergence.`,
    );
  }
  const options = { maxBatches: request.maxBatches, collectFunc: data.collect, target: target ?? undefined };
  const { topK } = request;
  const accuracy = labels ? topKAccuracy(loader, { ...options, k: topK }) : null;
  if (name === "accuracy") {
    const title = topK === 1 ? "accuracy" : `top-${topK} accuracy`;
    return { name, title, score: topKAccuracy(loader, { ...options, k: topK }), accuracy: null };
  }
  const title = `-${LOSS_TABLE[name].title}`;
  switch (name) {
    case "crossEntropy":
      return { name, title, score: crossEntropy(loader, options), accuracy };
    case "meanSquaredError":
      return { name, title, score: meanSquaredError(loader, options), accuracy: null };
    case "klDivergence":
      return { name, title, score: klDivergence(loader, full, options), accuracy };
  }
}

function automatic({ target, labels }: ScoredData): Exclude<ScoreName, "auto"> {
  return target === null ? "klDivergence" : lossFor(labels);
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
