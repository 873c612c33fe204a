/** Numbers as people read them in a report. */
import { axisUnits, headingOf } from "../profile/metrics";

/** The label of a metric's axis, and the factor that its values are divided by. */
export function axisOf(metric: string, largest: number): { label: string; factor: number } {
  const units = axisUnits(metric);
  const [unit, factor] =
    units.find(([, size]) => largest >= size) ?? (units.at(-1) as (typeof units)[number]);
  return { label: unit === "" ? headingOf(metric) : `${headingOf(metric)} (${unit})`, factor };
}

/** A score with four digits. */
export function formatScore(score: number): string {
  return score === 0 ? "0" : score.toPrecision(4);
}

/** Seconds as "12.3 s", "4 min 5 s" or "1 h 2 min". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
