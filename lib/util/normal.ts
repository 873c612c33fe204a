/** The standard normal distribution. */

const ROOT_2PI = Math.sqrt(2 * Math.PI);

/** The density at x. */
export function normalDensity(x: number): number {
  return Math.exp((-x * x) / 2) / ROOT_2PI;
}

/**
 * The probability of a value of at most x, to some 1e-16 absolutely. Marsaglia, "Evaluating the Normal Distribution",
 * Journal of Statistical Software 11(4), 2004: 1/2 + density(x) (x + x^3/3 + x^5/(3*5) + ...).
 */
export function normalCdf(x: number): number {
  if (x < -8) return 0;
  if (x > 8) return 1;
  let sum = x;
  let term = x;
  for (let k = 3, before = Number.NaN; sum !== before; k += 2) {
    before = sum;
    term *= (x * x) / k;
    sum += term;
  }
  return 0.5 + sum * normalDensity(x);
}

/** The value that a draw is below with probability `p`, from 1e-12 to 1 - 1e-12: Newton's method, from the median. */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  // Convex to the left of the median, so that no step goes too far.
  let x = 0;
  for (let i = 0; i < 100; i++) {
    const step = (normalCdf(x) - p) / normalDensity(x);
    x -= step;
    if (Math.abs(step) < 1e-15 * Math.max(1, Math.abs(x))) break;
  }
  return x;
}
