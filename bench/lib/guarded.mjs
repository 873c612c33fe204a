// Ratios of one run held against stored ones: what fell, and by how much. No clock is read here.

/** A median below the stored one by this factor fails; less than that is only reported. */
export const FAILS_BEYOND = 1.5;

/**
 * @param {Record<string, { min: number, median: number, max: number }>} stored ratios; above 1 ours is faster
 * @param {Record<string, { min: number, median: number, max: number }>} found the same ratios now
 * @returns one row a stored or found ratio, in order: `verdict` is "as before", "slower" (every ratio of now is below
 *   every stored one, so the spreads don't touch), "failed" (slower, and by more than 1.5 x), "new" or "missing"
 */
export function compare(stored, found) {
  const names = [...new Set([...Object.keys(stored), ...Object.keys(found)])];
  return names.map((name) => {
    const [before, now] = [stored[name], found[name]];
    if (before === undefined) return { name, now, verdict: "new" };
    if (now === undefined) return { name, before, verdict: "missing" };
    const fell = before.median / now.median;
    const apart = now.max < before.min;
    const verdict = !apart ? "as before" : fell > FAILS_BEYOND ? "failed" : "slower";
    return { name, before, now, fell, verdict };
  });
}
