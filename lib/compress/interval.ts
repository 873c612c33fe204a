/** How far a measured drop may be off by chance: the samples are a sample of all data. */

/** An interval that holds the true value with the probability that it was made for. */
export interface Interval {
  /** Its lower end. */
  low: number;
  /** Its upper end. */
  high: number;
}

/** Half the width of a 95 % interval of the normal distribution, in standard errors. */
export const Z95 = 1.959963984540054;

/**
 * The interval of a share that was seen to be `share` in `count` samples (Wilson, "Probable inference, the law of
 * succession, and statistical inference", Journal of the American Statistical Association 22, 1927).
 */
export function shareInterval(share: number, count: number, z = Z95): Interval {
  const middle = (share + (z * z) / (2 * count)) / (1 + (z * z) / count);
  const half =
    (z / (1 + (z * z) / count)) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/**
 * The interval of a difference `before - after` of two shares of `count` samples (Newcombe, "Interval estimation for the
 * difference between independent proportions", Statistics in Medicine 17, 1998, method 10). Both are shares of the same
 * samples, so that the true interval is narrower.
 */
export function dropInterval(
  before: number,
  after: number,
  count: number,
  countAfter = count,
  z = Z95,
): Interval {
  const [one, two] = [shareInterval(before, count, z), shareInterval(after, countAfter, z)];
  const drop = before - after;
  return {
    low: drop - Math.hypot(before - one.low, two.high - after),
    high: drop + Math.hypot(one.high - before, after - two.low),
  };
}

/** The interval of the mean of differences over paired batches; null for fewer than two. */
export function pairedInterval(differences: readonly number[], z = Z95): Interval | null {
  const count = differences.length;
  if (count < 2) return null;
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const half = z * Math.sqrt(squares / (count - 1) / count);
  return { low: mean - half, high: mean + half };
}
