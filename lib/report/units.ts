/** Metrics and numbers as people read them in a report. */
import { formatBytes, formatCount, formatMilliseconds, formatPercent } from "../profile/units";

interface MetricText {
  title: string;
  format(value: number): string;
  /** Units of an axis, the largest first. */
  units: readonly [name: string, factor: number][];
}

const COUNTS: MetricText["units"] = [
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
  ["", 1],
];

const BYTES: MetricText["units"] = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["B", 1],
];

const METRICS: Readonly<Record<string, MetricText>> = {
  params: { title: "Parameters", format: formatCount, units: COUNTS },
  macs: { title: "Multiply-adds", format: formatCount, units: COUNTS },
  flops: { title: "FLOPs", format: formatCount, units: COUNTS },
  size: { title: "Size", format: formatBytes, units: BYTES },
  memory: { title: "Memory", format: formatBytes, units: BYTES },
  density: { title: "Weights that stay", format: formatPercent, units: [["", 1]] },
  effectiveBits: { title: "Bits of a weight", format: (value) => value.toFixed(2), units: [["", 1]] },
  latency: { title: "Latency", format: formatMilliseconds, units: [["ms", 1]] },
};

/** A metric's name. */
export function titleOf(metric: string): string {
  return METRICS[metric]?.title ?? metric;
}

/** A cost with its unit. */
export function formatCost(metric: string, value: number): string {
  return METRICS[metric]?.format(value) ?? String(value);
}

/** How an axis of a metric is labelled, and what its values are divided by. */
export function axisOf(metric: string, largest: number): { label: string; factor: number } {
  const units = METRICS[metric]?.units ?? COUNTS;
  const [unit, factor] = units.find(([, size]) => largest >= size) ?? (units.at(-1) as [string, number]);
  return { label: unit === "" ? titleOf(metric) : `${titleOf(metric)} (${unit})`, factor };
}

/** A score with four digits. */
export function formatScore(score: number): string {
  return score === 0 ? "0" : score.toPrecision(4);
}

/** Seconds as "12.3 s", "4 min 5 s" or "1 h 2 min". */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
