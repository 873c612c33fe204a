// Summaries of measurements.

/** The value below which the share `q` of the sorted values lies, interpolated linearly. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const above = sorted[Math.min(low + 1, sorted.length - 1)];
  return sorted[low] + (at - low) * (above - sorted[low]);
}

export const median = (values) => quantile(values, 0.5);

/** Minimum, median and maximum. */
export function summary(values) {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values), count: values.length };
}

/**
 * Ratios a / b, pair by pair. The members of a pair were measured one right after the other, so a disturbance of the
 * machine affects both.
 */
export function ratios(a, b) {
  return summary(a.map((value, i) => value / b[i]));
}

/** The power law y = c x^p that fits best in logarithms (least squares), and how much of their variance it explains. */
export function powerLaw(points) {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)]);
  const mean = (at) => logs.reduce((sum, pair) => sum + pair[at], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const sum = (of) => logs.reduce((total, [x, y]) => total + of(x - mx, y - my), 0);
  const exponent = sum((x, y) => x * y) / sum((x) => x * x);
  const residual = sum((x, y) => (y - exponent * x) ** 2);
  const total = sum((_, y) => y * y);
  return { exponent, factor: Math.exp(my - exponent * mx), r2: total === 0 ? 1 : 1 - residual / total };
}
