/** The accuracy of the best candidate so far, for reports of searches that aren't finished. */
import { type Bounds, type Costs, resolveConstraints, satisfies } from "../contract/constraints";
import type { Constraints } from "../contract/types";
import { TorchSearchError } from "../errors";
import type { ScoreFunction } from "../evaluation/types";
import type { ModeSpace } from "../space/mode-space";
import { SearchSpace } from "../space/search-space";
import type { ChosenScore } from "./search-scores";

/** A score, and the accuracy of the candidate that has it. */
export interface ScoredAccuracy {
  score: number;
  accuracy: number;
}

/**
 * A search's score that also measures the accuracy of each candidate that is the best so far within the constraints:
 * one more pass for a few candidates.
 *
 * @param earlier what an earlier run of the search measured
 */
export function withAccuracy(
  { score, accuracy }: ChosenScore,
  space: ModeSpace,
  constraints: Constraints,
  earlier: ScoredAccuracy | null,
): { score: ScoreFunction; best(): ScoredAccuracy | null } {
  let best = earlier;
  if (accuracy === null || !(space instanceof SearchSpace)) return { score, best: () => best };
  const bounds = boundsOf(space, constraints);
  if (bounds === null) return { score, best: () => best };
  return {
    score: async (model, context) => {
      const rated = await score(model, context);
      const better = Number.isFinite(rated) && (best === null || rated > best.score);
      if (better && satisfies(space.costs(space.active) as Costs, bounds))
        best = { score: rated, accuracy: await accuracy(model, { signal: context?.signal ?? null }) };
      return rated;
    },
    best: () => best,
  };
}

/** The constraints as numbers; null where they need a latency that isn't known yet. */
function boundsOf(space: SearchSpace, constraints: Constraints): Bounds | null {
  try {
    return resolveConstraints(constraints, space.costs(space.fullConfig) as Costs);
  } catch (error) {
    if (error instanceof TorchSearchError) return null;
    throw error;
  }
}
