import { distance } from "fastest-levenshtein";

/**
 * The candidate that `name` was most likely meant to be, or null when none is close: case, dashes and underscores
 * are ignored, so that a name written as in Python (`score_func`) finds its camelCase twin (`scoreFunc`).
 */
export function nearest(name: string, candidates: readonly string[]): string | null {
  const wanted = normalize(name);
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const other = normalize(candidate);
    const d = distance(wanted, other);
    const tolerated = Math.max(1, Math.floor(Math.max(wanted.length, other.length) * 0.45));
    if (d <= tolerated && d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** "Did you mean …? " or nothing, then all the candidates: the remedy part of an unknown-name message. */
export function suggestion(name: string, candidates: readonly string[]): string {
  const near = nearest(name, candidates);
  const all = `known are ${candidates.join(", ")}`;
  return near === null ? all : `did you mean "${near}"? (${all})`;
}

function normalize(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, "");
}
