/** Scoring a model in a search, with a rule to stop by where the score may not matter any more. */
import { TorchSearchError } from "../errors";
import { throwIfAborted } from "../util/abort";
import { scoreOf } from "./failures";
import type { RunContext, ScoreFunction, SearchModel, StopRule } from "./types";

/**
 * Calls a score function and checks its result.
 *
 * @throws `ERR_NO_SCORE` when there is none; `ERR_SCORE_FAILED` (with cause) when it throws; `ERR_SCORE_NAN`;
 *   `ERR_ABORTED`
 */
export async function scoreModel(
  model: SearchModel,
  scoreFunc: ScoreFunction | null,
  context: RunContext,
): Promise<number> {
  if (scoreFunc === null) {
    throw new TorchSearchError("ERR_NO_SCORE", "This search needs a score; set scoreFunc in its config.");
  }
  throwIfAborted(context.signal);
  return scoreOf(() => scoreFunc(model, context), context.signal);
}

/** A score; or, when scoring stopped early, an upper bound of it and the number of samples that were seen. */
export type BoundedScore = { score: number } | { atMost: number; samples: number };

/**
 * Calls `score` with a rule to stop by.
 *
 * @throws `ERR_EARLY_STOPPING` when it stopped, but the result is not below `below`; what `score` throws
 */
export async function scoreUnless(
  below: number,
  errorProbability: number,
  score: (stop: StopRule) => Promise<number>,
): Promise<BoundedScore> {
  let samplesSeen: number | null = null;
  const onStop = (samples: number): void => {
    samplesSeen = samples;
  };
  const value = await score({ below, errorProbability, onStop });
  if (samplesSeen === null) return { score: value };
  if (value >= below) {
    throw new TorchSearchError(
      "ERR_EARLY_STOPPING",
      `scoreFunc stopped early, but returned ${value}, which is not below ${below}: return an upper bound that is, or the score.`,
    );
  }
  return { atMost: value, samples: samplesSeen };
}
