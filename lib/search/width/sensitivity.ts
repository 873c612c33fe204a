/** What narrowing one hyperparameter alone does to the score: the formulas. `sensitivity-sweep.ts` measures. */

/** The sensitivity of one hyperparameter; arrays run parallel to its choices, ascending. */
export interface Sensitivity {
  /** The hyperparameter's choices. */
  choices: number[];
  /** The score with this hyperparameter at the choice and all others full; null where it was not measured. */
  scores: (number | null)[];
  /**
   * How far the score falls below the full model's: at least 0, never less at a smaller choice, quadratic between
   * measured ones. For a hyperparameter of the user's own: how far it falls below the score of the best choice.
   */
  degradation: number[];
}

/**
 * Turns scores into degradations, d(c) = max over measured c' >= c of max(0, score(full) - score(c')). The maximum is
 * needed because the score of a smaller width may come out higher by chance, and the search must not conclude that more
 * narrowing does less harm. A choice that was not measured lies between its measured neighbours a < c < b: d(c) = d(b)
 * + (d(a) - d(b)) ((b - c) / (b - a))^2, since harm grows with the square of a small perturbation (LeCun et al.,
 * "Optimal Brain Damage", NIPS 1989). The smallest choice must be measured; the largest, the full one, harms nothing.
 */
export function degradationOf(
  scores: readonly (number | null)[],
  fullScore: number,
  choices: readonly number[],
): number[] {
  const harms: number[] = [];
  let running = 0;
  let above = scores.length - 1; // the last measured choice, from the full one down
  for (let i = scores.length - 1; i >= 0; i--) {
    const score = scores[i] as number | null;
    if (score === null) continue;
    const before = running;
    running = Math.max(running, fullScore - score);
    const [a, b] = [choices[i] as number, choices[above] as number];
    for (let c = above - 1; c > i; c--)
      harms[c] = before + (running - before) * ((b - (choices[c] as number)) / (b - a)) ** 2;
    harms[i] = running;
    above = i;
  }
  return harms;
}

/**
 * The degradations of a hyperparameter of the user's own, whose choices have no order: d(c) = max over c' of score(c')
 * - score(c). A choice that scores better than the full model makes the full one harmful.
 */
export function customDegradationOf(scores: readonly (number | null)[]): number[] {
  const known = scores.filter((score) => score !== null);
  const best = Math.max(...known);
  const worst = Math.min(...known); // a choice that is not measured yet counts as the worst
  return scores.map((score) => best - (score ?? worst));
}

/**
 * Which choices to measure: all reduced ones, or `limit` of them, evenly spread and the smallest included. Gives
 * positions in `choices`, descending.
 */
export function choicesToMeasure(count: number, limit: number | null): number[] {
  const reduced = count - 1;
  const wanted = limit === null ? reduced : Math.min(limit, reduced);
  return Array.from({ length: wanted }, (_, i) => Math.round(((wanted - 1 - i) * reduced) / wanted));
}
