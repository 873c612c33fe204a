/** The score of a request, and what else is worth telling of a model. */

import type { DataSource } from "../data/data-source";
import { crossEntropy, klDivergence, meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { RunContext, ScoreFunction } from "../evaluation/types";
import type { Module } from "../model/module";
import type { OpenData } from "./open-data";
import { badOption } from "./options";
import type { ScoreName, SearchRequest } from "./search-request";

/** How candidates are rated, by a name for people. */
export interface ChosenScore {
  name: Exclude<ScoreName, "auto">;
  /** Such as "top-5 accuracy". */
  title: string;
  score: ScoreFunction;
  /** Accuracy, told beside a score that people find hard to read; null where there are no labels. */
  accuracy: ScoreFunction | null;
}

/** What a score needs to know of data. */
export type ScoredData = Pick<OpenData, "target" | "labels" | "collect"> & { loader: DataSource };

/** A model's ratings. */
export interface Ratings {
  score: number;
  accuracy: number | null;
}

/**
 * The score that the request names; `auto` is the cross-entropy for labels, the squared error for other targets, and
 * the divergence from the full model where there are no targets.
 *
 * @throws `ERR_CLI_OPTION` when it needs targets and there are none
 */
export function chooseScore(request: SearchRequest, data: ScoredData, full: Module): ChosenScore {
  const { loader, target, labels } = data;
  const name = request.score === "auto" ? automatic(data) : request.score;
  if (target === null && name !== "kl") {
    throw badOption(
      `The score ${name} needs targets: name their array with --target-array, or take --score kl.`,
    );
  }
  const options = { maxBatches: request.maxBatches, collectFunc: data.collect, target: target ?? undefined };
  const { topK } = request;
  const accuracy = labels ? topKAccuracy(loader, { ...options, k: topK }) : null;
  const title = topK === 1 ? "accuracy" : `top-${topK} accuracy`;
  switch (name) {
    case "accuracy":
      return { name, title, score: topKAccuracy(loader, { ...options, k: topK }), accuracy: null };
    case "cross_entropy":
      return { name, title: "-cross-entropy", score: crossEntropy(loader, options), accuracy };
    case "mse":
      return { name, title: "-squared error", score: meanSquaredError(loader, options), accuracy: null };
    default:
      return { name, title: "-KL divergence", score: klDivergence(loader, full, options), accuracy };
  }
}

function automatic({ target, labels }: ScoredData): Exclude<ScoreName, "auto"> {
  if (target === null) return "kl";
  return labels ? "cross_entropy" : "mse";
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
