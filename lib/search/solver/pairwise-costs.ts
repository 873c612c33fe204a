/** A space's costs, decomposed so that an integer program can state them. */
import type { SearchSpace } from "../../space/search-space";
import type { Hyperparameter, SpaceMetric, SubnetConfig } from "../../space/types";
import { throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { Random } from "../../util/random";

/** What two hyperparameters add to the costs beyond what each adds alone, by the positions of their choices. */
export interface PairTerm {
  /** Positions of the two in `hyperparameters`. */
  first: number;
  second: number;
  /** By metric: the amount for each choice of the first (outer) and of the second (inner). */
  amounts: Record<string, number[][]>;
  /**
   * Set when all amounts are a product, `scale[metric] * left[c] * right[e]`, with factors from 0 to 1. Costs that are
   * bilinear in the widths, as a layer's costs are, have this form.
   */
  product: { left: number[]; right: number[]; scale: Record<string, number> } | null;
}

/** A pair whose amounts a third hyperparameter scales: the widths on either side of a layer that can be left out. */
export interface GatedTerm {
  /** Position in `pairs`. */
  pair: number;
  /** Position in `hyperparameters` of the third one. */
  gate: number;
  /** By metric: the share of the pair's amount that each of the gate's choices adds, such as -1 for none of it. */
  shares: Record<string, number[]>;
}

/**
 * Costs as a sum over hyperparameters, pairs and gated pairs of them, relative to the largest subnet: the part of order two
 * of the anchored decomposition (cut-HDMR: Rabitz and Alis, "General foundations of high-dimensional model
 * representations", Journal of Mathematical Chemistry 25, 1999), and of order three as far as it scales pairs.
 */
export interface PairwiseCosts {
  hyperparameters: readonly Hyperparameter[];
  /** The largest subnet's costs, by metric: the full model's, unless `maxWidth` is below it. */
  full: Record<string, number>;
  /** By metric and hyperparameter: what each choice alone adds (nothing or less than nothing). */
  single: Record<string, number[][]>;
  pairs: PairTerm[];
  gated: GatedTerm[];
  /** The largest error seen on random subnets, as a share of the full model's cost. */
  error: number;
}

/** Subnets that the decomposition is checked on. */
const CHECKS = 64;

/** Shares below this are rounding. */
const ROUNDING = 1e-9;

/** Finds the decomposition by asking for the costs of subnets with one and two narrowed hyperparameters. */
export async function pairwiseCosts(
  space: SearchSpace,
  metrics: readonly SpaceMetric[],
  signal: AbortSignal | null,
): Promise<PairwiseCosts> {
  const { hyperparameters, largestConfig } = space;
  const breather = new Breather();
  const full = Object.fromEntries(metrics.map((metric) => [metric, space.cost(largestConfig, metric)]));
  const single: Record<string, number[][]> = {};
  for (const metric of metrics) {
    single[metric] = [];
    for (const { name, choices } of hyperparameters) {
      single[metric].push(
        choices.map(
          (width) => space.cost({ ...largestConfig, [name]: width }, metric) - (full[metric] as number),
        ),
      );
      await breather.breathe();
    }
  }
  const amount = (metric: SpaceMetric, first: number, c: number, second: number, e: number): number => {
    const alone = (full[metric] as number) + cell(single, metric, first, c) + cell(single, metric, second, e);
    return space.cost(narrowed(space, [first, c], [second, e]), metric) - alone;
  };
  const pairs: PairTerm[] = [];
  for (let first = 0; first < hyperparameters.length; first++) {
    for (let second = first + 1; second < hyperparameters.length; second++) {
      await breather.breathe();
      throwIfAborted(signal);
      const tied = metrics.some(
        (metric) => Math.abs(amount(metric, first, 0, second, 0)) > ROUNDING * (full[metric] as number),
      );
      if (!tied) continue;
      const amounts: Record<string, number[][]> = {};
      for (const metric of metrics) {
        const table: number[][] = [];
        for (const c of (hyperparameters[first] as Hyperparameter).choices.keys()) {
          table.push(
            Array.from((hyperparameters[second] as Hyperparameter).choices.keys(), (e) =>
              amount(metric, first, c, second, e),
            ),
          );
          await breather.breathe();
        }
        amounts[metric] = table;
      }
      pairs.push({ first, second, amounts, product: productOf(amounts, full) });
    }
  }
  const costs: PairwiseCosts = { hyperparameters, full, single, pairs, gated: [], error: 0 };
  costs.gated = await gatedTerms(space, costs, metrics, breather, signal);
  const random = new Random(0);
  for (let i = 0; i < CHECKS; i++) {
    const config = space.sample(random);
    for (const metric of metrics) {
      const missed = Math.abs(costOf(costs, config, metric) - space.cost(config, metric));
      costs.error = Math.max(costs.error, missed / (full[metric] as number));
    }
    await breather.breathe();
  }
  if (costs.error < ROUNDING) costs.error = 0;
  return costs;
}

/** Finds what scales pairs, by narrowing three hyperparameters. */
async function gatedTerms(
  space: SearchSpace,
  costs: PairwiseCosts,
  metrics: readonly SpaceMetric[],
  breather: Breather,
  signal: AbortSignal | null,
): Promise<GatedTerm[]> {
  const { hyperparameters, pairs, full } = costs;
  const found: GatedTerm[] = [];
  const seen = new Set<string>();
  for (const [pair, { first, second, amounts }] of pairs.entries()) {
    for (const [gate, { choices }] of hyperparameters.entries()) {
      await breather.breathe();
      throwIfAborted(signal);
      const three = [first, second, gate].sort((a, b) => a - b).join();
      if (gate === first || gate === second || seen.has(three)) continue;
      // What narrowing the three adds to what the terms so far say of it.
      const missed = (metric: SpaceMetric, c: number, e: number, g: number): number => {
        const config = narrowed(space, [first, c], [second, e], [gate, g]);
        return space.cost(config, metric) - costOf(costs, config, metric);
      };
      const negligible = (value: number, metric: SpaceMetric): boolean =>
        Math.abs(value) <= ROUNDING * (full[metric] as number);
      if (metrics.every((metric) => negligible(missed(metric, 0, 0, 0), metric))) continue;
      const shares: Record<string, number[]> = {};
      const proportional = metrics.every((metric) => {
        const table = amounts[metric] as number[][];
        const corner = cell(amounts, metric, 0, 0);
        const of = Array.from(choices.keys(), (g) => (corner === 0 ? 0 : missed(metric, 0, 0, g) / corner));
        shares[metric] = of;
        return of.every(
          (share, g) =>
            table.every((row, c) =>
              negligible(missed(metric, c, 0, g) - share * (row[0] as number), metric),
            ) && table[0]?.every((amount, e) => negligible(missed(metric, 0, e, g) - share * amount, metric)),
        );
      });
      if (!proportional) continue;
      seen.add(three);
      found.push({ pair, gate, shares });
    }
  }
  return found;
}

/** The largest subnet with some hyperparameters, by position, at other choices, by position. */
function narrowed({ hyperparameters, largestConfig }: SearchSpace, ...at: [number, number][]): SubnetConfig {
  const config = { ...largestConfig };
  for (const [h, c] of at) {
    const { name, choices } = hyperparameters[h] as Hyperparameter;
    config[name] = choices[c] as number;
  }
  return config;
}

/** A subnet's cost by the decomposition. */
export function costOf(costs: PairwiseCosts, config: Readonly<SubnetConfig>, metric: string): number {
  const positions = costs.hyperparameters.map(({ name, choices }) => choices.indexOf(config[name] as number));
  let sum = costs.full[metric] as number;
  positions.forEach((c, h) => {
    sum += cell(costs.single, metric, h, c);
  });
  for (const { first, second, amounts } of costs.pairs) {
    sum += cell(amounts, metric, positions[first] as number, positions[second] as number);
  }
  for (const { pair, gate, shares } of costs.gated) {
    const { first, second, amounts } = costs.pairs[pair] as PairTerm;
    const amount = cell(amounts, metric, positions[first] as number, positions[second] as number);
    sum += amount * at(shares, metric, positions[gate] as number);
  }
  return sum;
}

function at(list: Record<string, number[]>, metric: string, position: number): number {
  return (list[metric] as number[])[position] as number;
}

function cell(table: Record<string, number[][]>, metric: string, row: number, column: number): number {
  return ((table[metric] as number[][])[row] as number[])[column] as number;
}

/** The factors of amounts that are one product, up to its scale, by every metric; else null. */
function productOf(amounts: Record<string, number[][]>, full: Record<string, number>): PairTerm["product"] {
  const scale: Record<string, number> = {};
  let factors: { left: number[]; right: number[] } | null = null;
  for (const [metric, table] of Object.entries(amounts)) {
    const corner = table[0]?.[0] as number;
    scale[metric] = corner;
    if (corner === 0) continue;
    factors ??= {
      left: table.map((row) => (row[0] as number) / corner),
      right: table[0]?.map((v) => v / corner) ?? [],
    };
  }
  if (factors === null) return null;
  const { left, right } = factors;
  if (![...left, ...right].every((factor) => factor >= 0 && factor <= 1)) return null;
  const fits = Object.entries(amounts).every(([metric, table]) =>
    table.every((row, c) =>
      row.every((value, e) => {
        const product = (scale[metric] as number) * (left[c] as number) * (right[e] as number);
        return Math.abs(value - product) <= ROUNDING * (full[metric] as number);
      }),
    ),
  );
  return fits ? { left, right, scale } : null;
}
