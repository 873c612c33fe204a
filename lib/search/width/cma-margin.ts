/**
 * CMA-ES with margin: choices keep being drawn, however small the step size gets (Hamano, Saito, Nomura and Shirakawa,
 * "CMA-ES with Margin: Lower-Bounding Marginal Probability for Mixed-Integer Black-Box Optimization", GECCO 2022;
 * numbers of formulas are those of arXiv 2205.13482).
 */
import { normalCdf, normalQuantile } from "../../util/normal";

/** The part of the distribution that the correction reads and writes. n is the number of coordinates. */
export interface Margin {
  mean: Float64Array;
  sigma: number;
  covariance: Float64Array;
  /** Factors by which a draw's distance from the mean is scaled before it becomes a choice: the matrix A, n. */
  scale: Float64Array;
}

/** The edge between a choice and the next one. Choices are spaced evenly from 0 to 1. */
function edge(choice: number, size: number): number {
  return (choice + 0.5) / (size - 1);
}

/** The choice nearest to a coordinate, from 0 to `size` - 1. */
export function nearestChoice(x: number, size: number): number {
  return Math.min(size - 1, Math.max(0, Math.ceil(x * (size - 1) - 0.5)));
}

/** The choices that a draw stands for: of m + A (x - m), as in section 4.1. */
export function choicesOf(
  x: ArrayLike<number>,
  { mean, scale }: Pick<Margin, "mean" | "scale">,
  sizes: readonly number[],
): number[] {
  return sizes.map((size, i) => {
    const centre = mean[i] as number;
    return nearestChoice(centre + (scale[i] as number) * ((x[i] as number) - centre), size);
  });
}

/**
 * Corrects mean and scale so that every choice next to the mean's is drawn with a probability of at least `alpha`
 * (binary and outermost choices, section 4.2) or `alpha` / 2 on either side (section 4.3).
 */
export function withMargin(distribution: Margin, sizes: readonly number[], alpha: number): void {
  const { mean, scale, sigma, covariance } = distribution;
  const n = sizes.length;
  sizes.forEach((size, i) => {
    const centre = mean[i] as number;
    const deviation = sigma * Math.sqrt(covariance[i * n + i] as number);
    const at = nearestChoice(centre, size);
    const low = edge(Math.max(0, at - 1), size);
    const up = edge(Math.min(size - 2, at), size);
    const spread = deviation * (scale[i] as number);
    const below = normalCdf((low - centre) / spread);
    const above = 1 - normalCdf((up - centre) / spread);
    if (Math.max(below, above) > 0.5) {
      // The mean is at an outermost choice, or there are two: low and up are the same edge or next to it.
      if (Math.min(below, above) < alpha) {
        const distance = spread * normalQuantile(1 - alpha);
        mean[i] = up + Math.sign(centre - up) * distance;
      }
      return;
    }
    const between = 1 - below - above;
    const [p, q] = atLeast(below, above, between, alpha / 2);
    const [left, right] = [normalQuantile(1 - p), normalQuantile(1 - q)];
    scale[i] = (up - low) / ((left + right) * deviation);
    mean[i] = (low * right + up * left) / (left + right);
  });
}

/** Raises the probabilities on both sides to `least`, at the expense of what is above it (formulas 12 to 15). */
function atLeast(below: number, above: number, between: number, least: number): [number, number] {
  const p = Math.max(below, least);
  const q = Math.max(above, least);
  const surplus = 1 - p - q - between;
  const spare = p + between + q - 3 * least;
  const clip = (value: number): number => Math.min(0.5 - 1e-10, Math.max(1e-10, value));
  return [clip(p + (surplus * (p - least)) / spare), clip(q + (surplus * (q - least)) / spare)];
}
