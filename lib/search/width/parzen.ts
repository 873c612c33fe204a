/** A Parzen estimator over choices: the densities that TPE compares. */

import { normalCdf } from "../../util/normal";
import type { Random } from "../../util/random";

/** What there is to choose: how many choices, and whether they have no order. */
export interface Dimension {
  size: number;
  categorical: boolean;
}

/** Bandwidth of one observation, as a share of the range. */
const BANDWIDTH = 0.2;

/** Observations that count in full; older ones count less. */
const RECENT = 25;

/**
 * A density over choices: a mixture with a kernel at each observation and one, the prior, over the whole range. Each
 * kernel is a product over all dimensions, so that choices that did well together are proposed together.
 *
 * As Optuna's multivariate TPE (`_ParzenEstimator` of version 4). For n observations in d dimensions, in units of
 * choices, with R the number of choices:
 *
 * - in order: a normal distribution around the observed choice, truncated to the range, whose mass in
 *   [c - 1/2, c + 1/2] is the probability of choice c. Its standard deviation is 0.2 R n^(-1/(d+4)) (the rate is that
 *   of Scott's rule), at least R / min(100, n + 2). The prior's is R, around the middle;
 * - without order: the observed choice has the weight 1 + 1/(n+1), others 1/(n+1). The prior's are equal;
 * - the weights of kernels are equal; beyond 25 observations, the older ones' rise linearly from 1/n to 1.
 */
export class ParzenEstimator {
  readonly #dimensions: readonly Dimension[];
  /** Positions of choices, one list an observation; oldest first. */
  readonly #observations: readonly ArrayLike<number>[];
  /** Of the observations, then of the prior; they sum to 1. */
  readonly #weights: Float64Array;
  /** By dimension: log-probabilities, a row for a kernel at each choice and one for the prior. */
  readonly #tables: readonly Float64Array[];
  /** The same, not as logarithms. */
  readonly #chances: readonly Float64Array[];

  constructor(dimensions: readonly Dimension[], observations: readonly ArrayLike<number>[]) {
    this.#dimensions = dimensions;
    this.#observations = observations;
    const n = observations.length;
    const raw = Float64Array.from({ length: n + 1 }, (_, at) =>
      at < n - RECENT ? rampAt(at, n - RECENT, 1 / n) : 1,
    );
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    this.#weights = raw.map((weight) => weight / total);
    const varied = dimensions.filter(({ size }) => size > 1).length;
    this.#chances = dimensions.map((dimension) => chancesOf(dimension, n, varied));
    this.#tables = this.#chances.map((table) => table.map(Math.log));
  }

  /** Draws from the density; positions of choices. */
  sample(random: Random): number[] {
    const kernel = draw(this.#weights, random);
    return this.#dimensions.map(({ size }, d) => {
      const row = (this.#observations[kernel]?.[d] ?? size) * size;
      return draw((this.#chances[d] as Float64Array).subarray(row, row + size), random);
    });
  }

  /** The logarithm of the density at some positions. */
  logDensity(positions: ArrayLike<number>): number {
    const logs = new Float64Array(this.#observations.length + 1);
    for (let kernel = 0; kernel < logs.length; kernel++) {
      const centre = this.#observations[kernel];
      let sum = Math.log(this.#weights[kernel] as number);
      for (let d = 0; d < this.#dimensions.length; d++) {
        const { size } = this.#dimensions[d] as Dimension;
        const row = centre === undefined ? size : (centre[d] as number);
        sum += (this.#tables[d] as Float64Array)[row * size + (positions[d] as number)] as number;
      }
      logs[kernel] = sum;
    }
    const most = logs.reduce((a, b) => Math.max(a, b));
    return most + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - most), 0));
  }
}

/** The weight of an old observation: from `first` for the oldest to 1 for the last of `count`. */
function rampAt(at: number, count: number, first: number): number {
  return count === 1 ? first : first + ((1 - first) * at) / (count - 1);
}

function chancesOf({ size, categorical }: Dimension, n: number, d: number): Float64Array {
  const table = new Float64Array((size + 1) * size);
  const scott = BANDWIDTH * size * Math.max(n, 1) ** (-1 / (d + 4));
  const deviation = Math.min(size, Math.max(scott, size / Math.min(100, n + 2)));
  for (let kernel = 0; kernel <= size; kernel++) {
    const prior = kernel === size;
    const row = table.subarray(kernel * size, (kernel + 1) * size);
    if (categorical) {
      const base = 1 / (n + 1);
      row.forEach((_, c) => {
        row[c] = prior ? 1 / size : ((c === kernel ? 1 : 0) + base) / (1 + size * base);
      });
    } else {
      const centre = prior ? (size - 1) / 2 : kernel;
      const below = (edge: number): number => normalCdf((edge - centre) / (prior ? size : deviation));
      const all = below(size - 0.5) - below(-0.5);
      row.forEach((_, c) => {
        row[c] = Math.max(0, below(c + 0.5) - below(c - 0.5)) / all;
      });
    }
  }
  return table;
}

/** An index, with the probability of its weight. The weights sum to 1. */
function draw(weights: Float64Array, random: Random): number {
  let left = random.float();
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (weight <= 0) continue;
    last = i;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}
