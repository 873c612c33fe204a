import type { ReportData } from "../data";

/** How far a chart reaches below the best score, in distances from there to the best subnet's score. */
const GENEROSITY = 4;

/**
 * The lowest score that charts show in place. Worse ones are drawn at the lower edge, so that a few ruined models do not
 * squeeze all others into a line. Minus infinity where no score is that low.
 */
export function lowestShown({ measurements, full, best }: ReportData): number {
  const scores = measurements.map(({ score }) => score).sort((a, b) => a - b);
  if (best === null || best.score === null || scores.length < 8) return Number.NEGATIVE_INFINITY;
  const top = Math.max(best.score, full.score ?? best.score, scores.at(-1) as number);
  const quartile = scores[Math.floor(scores.length / 4)] as number;
  const low = top - GENEROSITY * Math.max(top - best.score, (top - quartile) / 2);
  return (scores[0] as number) < low && low < top ? low : Number.NEGATIVE_INFINITY;
}
