/** The covariance matrix adaptation evolution strategy: a normal distribution that follows the best of its draws. */
import type { Random } from "../../util/random";
import { type Margin, withMargin } from "./cma-margin";
import { choleskyOf, quadratic, solveLower, timesLower } from "./triangular";

/** The state of `CmaEs`, as a checkpoint holds it. n is the number of coordinates. */
export interface CmaState extends Margin {
  /** The distribution's mean, n. */
  mean: Float64Array;
  /** The step size. */
  sigma: number;
  /** The covariance matrix, n x n, by rows. */
  covariance: Float64Array;
  /** The evolution path of the step size, n. */
  pathSigma: Float64Array;
  /** The evolution path of the covariance matrix, n. */
  pathC: Float64Array;
  /** Updates so far. */
  generation: number;
}

/** The state before the first draw: a normal distribution around `mean`, with the same deviation in all directions. */
export function cmaState(mean: ArrayLike<number>, sigma: number): CmaState {
  const n = mean.length;
  const covariance = new Float64Array(n * n);
  for (let i = 0; i < n; i++) covariance[i * n + i] = 1;
  const zeros = () => new Float64Array(n);
  const scale = new Float64Array(n).fill(1);
  return {
    mean: Float64Array.from(mean),
    sigma,
    covariance,
    pathSigma: zeros(),
    pathC: zeros(),
    scale,
    generation: 0,
  };
}

/** The usual number of draws in a generation (Hansen 2016, table 1). */
export function populationOf(n: number): number {
  return 4 + Math.floor(3 * Math.log(n));
}

/**
 * CMA-ES with weighted recombination and active covariance update, by Hansen, "The CMA Evolution Strategy: A Tutorial",
 * arXiv 1604.00772, 2016; numbers of formulas are the tutorial's. Three parts are from elsewhere:
 *
 * - the square root of the covariance matrix is its Cholesky factor A, and A^-1 stands for C^(-1/2) in the path of the
 *   step size (Krause, Arbonès and Igel, "CMA-ES with Optimal Covariance Update and Storage Complexity", NeurIPS 29,
 *   2016);
 * - points that were not drawn, or were moved, enter with a bounded length (Hansen, "Injecting External Solutions Into
 *   CMA-ES", arXiv 1110.4181, 2011, equation 4);
 * - the correction for discrete choices is in `cma-margin.ts`.
 */
export class CmaEs {
  readonly #n: number;
  readonly #weights: Float64Array;
  readonly #rates: ReturnType<typeof ratesOf>;
  #factor: Float64Array;

  /** @param sizes the number of choices of each coordinate, evenly spaced from 0 to 1; @param lambda draws of an update */
  constructor(
    readonly state: CmaState,
    readonly sizes: readonly number[],
    readonly lambda: number,
  ) {
    this.#n = sizes.length;
    this.#rates = ratesOf(this.#n, lambda);
    this.#weights = this.#rates.weights;
    this.#factor = choleskyOf(state.covariance, this.#n);
  }

  /** Formulas 38 to 40: x = m + sigma A z with z of N(0, I). */
  draw(random: Random): Float64Array {
    const { mean, sigma } = this.state;
    const z = Float64Array.from({ length: this.#n }, () => random.normal());
    const y = timesLower(this.#factor, z);
    return mean.map((centre, i) => centre + sigma * (y[i] as number));
  }

  /** One generation: `points` are its draws, the best one first. */
  update(points: readonly Float64Array[]): void {
    const { state } = this;
    const n = this.#n;
    const { muEff, cSigma, dSigma, cC, c1, cMu, chi } = this.#rates;
    const steps = points.map((point) => this.#step(point));
    const lengths = steps.map((y) => norm(solveLower(this.#factor, y)) ** 2);
    // Formulas 41 and 42.
    const shift = new Float64Array(n);
    steps.forEach((y, k) => {
      const weight = this.#weights[k] as number;
      if (weight <= 0) return;
      y.forEach((value, i) => {
        shift[i] = (shift[i] as number) + weight * value;
      });
    });
    state.mean = state.mean.map((value, i) => value + state.sigma * (shift[i] as number));
    // Formulas 43 and 44.
    const white = solveLower(this.#factor, shift);
    state.pathSigma = state.pathSigma.map(
      (value, i) => (1 - cSigma) * value + Math.sqrt(cSigma * (2 - cSigma) * muEff) * (white[i] as number),
    );
    const length = norm(state.pathSigma);
    state.sigma *= Math.exp((cSigma / dSigma) * (length / chi - 1));
    // Formulas 45 to 47.
    const expected = Math.sqrt(1 - (1 - cSigma) ** (2 * (state.generation + 1)));
    const moves = length / expected < (1.4 + 2 / (n + 1)) * chi ? 1 : 0;
    state.pathC = state.pathC.map(
      (value, i) => (1 - cC) * value + moves * Math.sqrt(cC * (2 - cC) * muEff) * (shift[i] as number),
    );
    const weights = this.#weights.map((w, k) => (w >= 0 ? w : (w * n) / ((lengths[k] as number) + 1e-8)));
    const total = this.#weights.reduce((sum, w) => sum + w, 0);
    const keep = 1 + c1 * (1 - moves) * cC * (2 - cC) - c1 - cMu * total;
    state.covariance = state.covariance.map((value, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      const path = (state.pathC[i] as number) * (state.pathC[j] as number);
      return keep * value + c1 * path + cMu * quadratic(weights, steps, i, j);
    });
    state.generation += 1;
    this.#factor = choleskyOf(state.covariance, n);
    withMargin(state, this.sizes, 1 / (n * this.lambda));
  }

  /** A point as a step from the mean, (x - m) / sigma, not longer than an injected one may be. */
  #step(point: Float64Array): Float64Array {
    const { mean, sigma } = this.state;
    const n = this.#n;
    const y = point.map((value, i) => (value - (mean[i] as number)) / sigma);
    const most = Math.sqrt(n) + (2 * n) / (n + 2);
    const length = norm(solveLower(this.#factor, y));
    return length > most ? y.map((value) => (value * most) / length) : y;
  }
}

/** Weights and learning rates: formulas 48 to 58, table 1. */
function ratesOf(n: number, lambda: number) {
  const raw = Float64Array.from({ length: lambda }, (_, i) => Math.log((lambda + 1) / 2) - Math.log(i + 1));
  const mu = Math.floor(lambda / 2);
  const mass = (list: Float64Array): number =>
    list.length === 0 ? 0 : list.reduce((a, b) => a + b, 0) ** 2 / list.reduce((a, b) => a + b * b, 0);
  const muEff = mass(raw.subarray(0, mu));
  const c1 = 2 / ((n + 1.3) ** 2 + muEff);
  const cMu = Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((n + 2) ** 2 + muEff));
  const negative = Math.min(
    1 + c1 / cMu,
    1 + (2 * mass(raw.subarray(mu))) / (muEff + 2),
    (1 - c1 - cMu) / (n * cMu),
  );
  const sum = (sign: number): number => raw.reduce((all, w) => all + Math.max(0, sign * w), 0);
  const weights = raw.map((w) => (w >= 0 ? w / sum(1) : (negative * w) / sum(-1)));
  const cSigma = (muEff + 2) / (n + muEff + 5);
  return {
    weights,
    muEff,
    c1,
    cMu,
    cSigma,
    dSigma: 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma,
    cC: (4 + muEff / n) / (n + 4 + (2 * muEff) / n),
    /** The expected length of a vector of N(0, I). */
    chi: Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n)),
  };
}

function norm(vector: Float64Array): number {
  return Math.hypot(...vector);
}
