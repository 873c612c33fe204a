import { distance } from "fastest-levenshtein";
import { listed } from "./listed";
import { renamed } from "./renamed";

/**
 * The candidate that `name` was most likely meant to be, or null when none is close. Case, dashes and underscores are
 * ignored, so a name written as in Python (`score_func`) finds its camelCase form (`scoreFunc`).
 */
export function nearest(name: string, candidates: readonly string[]): string | null {
  const wanted = normalize(name);
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const other = normalize(candidate);
    const tolerated = Math.max(1, Math.floor(Math.max(wanted.length, other.length) * 0.45));
    // At least that far, and comparing takes the product of the lengths.
    if (Math.abs(wanted.length - other.length) > tolerated) continue;
    const d = distance(wanted, other);
    if (d <= tolerated && d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** The remedy for an unknown name: the name it has now, or the nearest one, and all the candidates. */
export function suggestion(name: string, candidates: readonly string[]): string {
  const all = `known are ${listed(candidates)}`;
  const present = renamed(name, candidates);
  if (present !== null) return `${present} (${all})`;
  const near = nearest(name, candidates);
  return near === null ? all : `did you mean "${near}"? (${all})`;
}

function normalize(name: string): string {
  return name.toLowerCase().replaceAll(/[-_\s]/g, "");
}
