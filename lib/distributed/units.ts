/** How the items of a round are put into tickets. */
import type { WorkItem } from "./work-share";

/** A ticket for each item, the largest first; of equal ones the earlier. */
export function largestFirst(items: readonly WorkItem<unknown>[]): number[][] {
  const cost = (at: number): number => (items[at] as WorkItem<unknown>).cost;
  return [...items.keys()].sort((a, b) => cost(b) - cost(a) || a - b).map((at) => [at]);
}

/**
 * Tickets of neighbours: each takes half of what would be an equal share of the rest, by cost, so that the last ones are
 * short, and ranks end at about the same time (Polychronopoulos and Kuck, "Guided Self-Scheduling", IEEE Transactions on
 * Computers 36, 1987).
 */
export function neighbours(items: readonly WorkItem<unknown>[], ranks: number): number[][] {
  const units: number[][] = [];
  let rest = items.reduce((sum, { cost }) => sum + cost, 0);
  let unit: number[] = [];
  let share = rest / (2 * ranks);
  let taken = 0;
  for (const [at, { cost }] of items.entries()) {
    unit.push(at);
    taken += cost;
    if (taken < share) continue;
    units.push(unit);
    rest -= taken;
    unit = [];
    taken = 0;
    share = rest / (2 * ranks);
  }
  if (unit.length > 0) units.push(unit);
  return units;
}
