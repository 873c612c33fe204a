/**
 * The metrics: what a model or a subnet costs. This table is the only place that lists them. Constraints, profiles,
 * spaces, reports and the command derive their lists, checks, titles and units from it.
 */

import { expected } from "../util/check";
import { formatBits, formatBytes, formatCount, formatMilliseconds, formatPercent } from "./units";

/** A unit: how a number of it is written, and how an axis is divided. */
interface Unit {
  /** Whether a number of it is whole. A bound below 1 is then a mistaken share. */
  readonly whole: boolean;
  /** Whether a bound is shown as a percentage of the full model's value. */
  readonly relative: boolean;
  /** A value with its unit. */
  format(value: number): string;
  /** Units of an axis, the largest first. */
  readonly axis: readonly (readonly [name: string, factor: number])[];
}

const COUNT: Unit = {
  whole: true,
  relative: true,
  format: formatCount,
  axis: [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
    ["", 1],
  ],
};

/** The units of the metrics. */
export const UNITS = {
  /** Parameters or operations. */
  count: COUNT,
  bytes: {
    whole: true,
    relative: true,
    format: formatBytes,
    axis: [
      ["GiB", 2 ** 30],
      ["MiB", 2 ** 20],
      ["KiB", 2 ** 10],
      ["B", 1],
    ],
  },
  milliseconds: { whole: false, relative: true, format: formatMilliseconds, axis: [["ms", 1]] },
  bits: { whole: false, relative: false, format: formatBits, axis: [["", 1]] },
  share: { whole: false, relative: true, format: formatPercent, axis: [["", 1]] },
} as const satisfies Record<string, Unit>;

/** What has metrics: a profile of a model, and each kind of space. */
export type MetricOwner = "profile" | "widths" | "formats" | "sparsity";

interface MetricFacts {
  /** Its name within a sentence. */
  readonly title: string;
  /** Its name where a file only simulates a format, so that neither the file nor its latency has this cost. */
  readonly simulated?: string;
  readonly unit: keyof typeof UNITS;
  /** Whether it is measured on a machine; the others are computed. */
  readonly measured: boolean;
  /** What can say its value. */
  readonly of: readonly MetricOwner[];
  /** A bound as the command takes it. */
  readonly example: string;
}

/** The metrics by name, in the order in which lists and tables show them. */
export const METRICS = {
  /** Bits of a weight, averaged over the quantizable weights. */
  effectiveBits: {
    title: "effective bits",
    unit: "bits",
    measured: false,
    of: ["formats"],
    example: "effectiveBits=6",
  },
  /** The share of weights that a sparse model keeps. */
  density: {
    title: "weights kept",
    unit: "share",
    measured: false,
    of: ["sparsity"],
    example: "density=50%",
  },
  params: {
    title: "parameters",
    simulated: "parameters without zeros",
    unit: "count",
    measured: false,
    of: ["profile", "widths", "sparsity"],
    example: "params=2.5M",
  },
  macs: {
    title: "multiply-adds",
    simulated: "multiply-adds without zeros",
    unit: "count",
    measured: false,
    of: ["profile", "widths", "sparsity"],
    example: "macs=1e9",
  },
  /** 2 x `macs`. */
  flops: {
    title: "FLOPs",
    simulated: "FLOPs without zeros",
    unit: "count",
    measured: false,
    of: ["profile", "widths", "sparsity"],
    example: "flops=60%",
  },
  /** Bytes of all parameters and buffers. */
  size: {
    title: "size",
    simulated: "size if stored so",
    unit: "bytes",
    measured: false,
    of: ["profile", "widths", "formats"],
    example: "size=10MiB",
  },
  /** Bytes at the peak of a forward pass. */
  memory: {
    title: "memory",
    unit: "bytes",
    measured: false,
    of: ["profile", "widths"],
    example: "memory=20MiB",
  },
  /** Milliseconds of a forward pass. */
  latency: {
    title: "latency",
    unit: "milliseconds",
    measured: true,
    of: ["profile", "widths"],
    example: "latency=5ms",
  },
} as const satisfies Record<string, MetricFacts>;

/** The name of a metric that the library knows. */
export type MetricName = keyof typeof METRICS;
/** The metrics that a profile or a kind of space has. */
export type MetricOf<Of extends MetricOwner> = {
  [Name in MetricName]: Of extends (typeof METRICS)[Name]["of"][number] ? Name : never;
}[MetricName];
/** The same without those that have to be measured. */
export type ComputedMetricOf<Of extends MetricOwner> = {
  [Name in MetricName]: (typeof METRICS)[Name]["measured"] extends true ? never : Name;
}[MetricName] &
  MetricOf<Of>;

/** All metrics, in the order in which lists and tables show them. */
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The names of the metrics that `owner` has, in the table's order. */
export function metricsOf<Of extends MetricOwner>(owner: Of): readonly MetricOf<Of>[] {
  return METRIC_NAMES.filter((name): name is MetricOf<Of> =>
    (METRICS[name] as MetricFacts).of.includes(owner),
  );
}

/** The same without those that have to be measured. */
export function computedMetricsOf<Of extends MetricOwner>(owner: Of): readonly ComputedMetricOf<Of>[] {
  return metricsOf(owner).filter((name): name is ComputedMetricOf<Of> => !METRICS[name].measured);
}

function factsOf(metric: string): MetricFacts | null {
  return Object.hasOwn(METRICS, metric) ? METRICS[metric as MetricName] : null;
}

function unitOf(metric: string): Unit | null {
  const facts = factsOf(metric);
  return facts === null ? null : UNITS[facts.unit];
}

/** Whether values are whole numbers: parameters, operations, bytes. False for a metric of the user's own. */
export function isCounted(metric: string): boolean {
  return unitOf(metric)?.whole ?? false;
}

/** Whether a bound is shown as a percentage of the full model's value. */
export function isRelative(metric: string): boolean {
  return unitOf(metric)?.relative ?? true;
}

/**
 * A metric's name within a sentence: `"multiply-adds"`. A metric of the user's own is called what it is.
 *
 * @param simulated whether the model's file only simulates a format: `"size if stored so"`
 */
export function titleOf(metric: string, simulated = false): string {
  const facts = factsOf(metric);
  return (simulated ? facts?.simulated : undefined) ?? facts?.title ?? metric;
}

/** The title at the beginning of a line: `"Multiply-adds"`. A metric of the user's own is left as it is. */
export function headingOf(metric: string, simulated = false): string {
  const title = factsOf(metric) === null ? undefined : titleOf(metric, simulated);
  return title === undefined ? metric : title.charAt(0).toUpperCase() + title.slice(1);
}

/** A value with its unit. */
export function formatCost(metric: string, value: number): string {
  if (typeof value !== "number") throw expected("ERR_ARGUMENT", "a number", "value", value);
  return unitOf(metric)?.format(value) ?? String(value);
}

/** The units of an axis, the largest first. */
export function axisUnits(metric: string): Unit["axis"] {
  return (unitOf(metric) ?? COUNT).axis;
}

/** Examples of bounds, as the command's help lists them. */
export function exampleBounds(owners: readonly MetricOwner[]): string[] {
  return METRIC_NAMES.map((name) => METRICS[name] as MetricFacts)
    .filter(({ of }) => of.some((owner) => owners.includes(owner)))
    .map(({ example }) => example);
}
