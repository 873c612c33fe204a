/**
 * The parts of NSGA-II, by Deb, Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm:
 * NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002. A point is a list of objectives, all of them to
 * be minimized.
 */
import type { Random } from "../../util/random";

export type Point = readonly number[];

/** Whether `a` is no worse than `b` in any objective, and better in one. */
export function dominates(a: Point, b: Point): boolean {
  let better = false;
  for (let i = 0; i < a.length; i++) {
    if ((a[i] as number) > (b[i] as number)) return false;
    if ((a[i] as number) < (b[i] as number)) better = true;
  }
  return better;
}

/** Fast nondominated sort (section III-A): fronts of positions, the first one being dominated by none. */
export function nondominatedSort(points: readonly Point[]): number[][] {
  const dominated = points.map((): number[] => []);
  const count = points.map(() => 0);
  points.forEach((p, i) => {
    for (let j = 0; j < i; j++) {
      const q = points[j] as Point;
      if (dominates(p, q)) {
        (dominated[i] as number[]).push(j);
        (count[j] as number)++;
      } else if (dominates(q, p)) {
        (dominated[j] as number[]).push(i);
        (count[i] as number)++;
      }
    }
  });
  const fronts: number[][] = [];
  let front = points.flatMap((_, i) => (count[i] === 0 ? [i] : []));
  while (front.length > 0) {
    fronts.push(front);
    front = front.flatMap((i) => (dominated[i] as number[]).filter((j) => --(count[j] as number) === 0));
  }
  return fronts;
}

/** Crowding distance of each of a front's members, in its order (section III-B); infinite at the ends. */
export function crowdingDistances(points: readonly Point[], front: readonly number[]): number[] {
  const distances = front.map(() => 0);
  const objectives = (points[front[0] as number] as Point).length;
  for (let m = 0; m < objectives; m++) {
    const value = (at: number): number => (points[front[at] as number] as Point)[m] as number;
    const order = front.map((_, at) => at).sort((a, b) => value(a) - value(b) || a - b);
    const first = order[0] as number;
    const last = order.at(-1) as number;
    const range = value(last) - value(first);
    distances[first] = distances[last] = Number.POSITIVE_INFINITY;
    if (range === 0) continue;
    for (let k = 1; k + 1 < order.length; k++) {
      const gap = value(order[k + 1] as number) - value(order[k - 1] as number);
      (distances[order[k] as number] as number) += gap / range;
    }
  }
  return distances;
}

/** A survivor of a generation, with what a tournament compares. */
export interface Survivor {
  /** Position among the points. */
  at: number;
  /** Number of its front, from 0. */
  rank: number;
  /** Crowding distance within its front. */
  distance: number;
}

/** The `count` fittest: whole fronts, and of the last one the least crowded (section III-C). */
export function survivors(points: readonly Point[], count: number): Survivor[] {
  const chosen: Survivor[] = [];
  for (const [rank, front] of nondominatedSort(points).entries()) {
    const distances = crowdingDistances(points, front);
    const ranked = front.map((at, i) => ({ at, rank, distance: distances[i] as number }));
    // Infinity - Infinity is NaN, which counts as equal.
    ranked.sort((a, b) => b.distance - a.distance || a.at - b.at);
    chosen.push(...ranked.slice(0, count - chosen.length));
    if (chosen.length >= count) break;
  }
  return chosen;
}

/** The better of two random survivors by the crowded comparison: lower rank, then less crowded. */
export function tournament(pool: readonly Survivor[], random: Random): Survivor {
  const a = random.choice(pool);
  const b = random.choice(pool);
  if (a.rank !== b.rank) return a.rank < b.rank ? a : b;
  return a.distance >= b.distance ? a : b;
}
