import type { ReportData } from "../data";
import { extent } from "./thin";

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

/** With fewer candidates, a chart shows all costs. */
const FEW = 8;

/**
 * The highest cost that a plane shows in place: where the full model, and single widths narrowed alone, cost far more
 * than all candidates, those are drawn at the right edge, so that the candidates have the room. Infinity where
 * everything is shown.
 */
export function highestCost({ measurements, best, bounds, full }: ReportData, metric: string): number {
  const costs = measurements.flatMap(({ kind, costs: each }) =>
    kind === "candidate" && each?.[metric] !== undefined ? [each[metric]] : [],
  );
  if (costs.length < FEW) return Number.POSITIVE_INFINITY;
  const [chosen, bound] = [best?.costs[metric], bounds[metric]];
  const shown = [
    ...costs,
    ...(chosen === undefined ? [] : [chosen]),
    ...(bound === undefined ? [] : [bound]),
  ];
  const [least, most] = extent(shown);
  const span = most - least;
  return span > 0 && (full.costs[metric] as number) - most > span / 2
    ? most + 0.1 * span
    : Number.POSITIVE_INFINITY;
}
