/** Measuring a search space's latencies, and how far a table's predictions are from measured subnets. */
import os from "node:os";

import { TorchSearchError } from "../errors";
import { callNative } from "../native/call";
import { getThreads } from "../native/threads";
import type { NativeLatencyOperator } from "../native/types/latency-table";
import type { NativeSearchSpace, NativeWidths } from "../native/types/search-space";
import { libraryVersions } from "../native/versions";
import { type LatencyConditions, LatencyTable } from "../profile/latency-table";
import { expected, isPositiveInteger } from "../util/check";
import type { ProgressListener } from "../util/progress";

/** The defaults of {@link MeasureLatencyOptions} and {@link LatencyErrorOptions}. */
export const LATENCY_DEFAULTS = { warmup: 2, repeats: 12, points: 4, samples: 8, seed: 0 } as const;

/** How forwards are timed. */
export interface LatencyTimingOptions {
  /** Forwards of a subnet before the first timed one; default 2. */
  warmup?: number;
  /**
   * Timed forwards of a subnet, in three rounds over all subnets; default 12. The lower quartile counts. With one
   * thread on the CPU, processor time is measured.
   */
  repeats?: number;
  /** Stops it with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives an event for every timed subnet. */
  onProgress?: ProgressListener | null;
}

/** Options of `SearchSpace.measureLatency`. */
export interface MeasureLatencyOptions extends LatencyTimingOptions {
  /** A table to complete; only what it lacks is measured. Default: a new one. */
  table?: LatencyTable | null;
  /** Widths of each hyperparameter to measure at, both ends among them; at least 2, default 4. */
  points?: number;
  /** LibTorch's threads within an operator; default: the number of `table`, or LibTorch's present number. */
  threads?: number;
}

/** Options of `SearchSpace.latencyError`. */
export interface LatencyErrorOptions extends LatencyTimingOptions {
  /** Random subnets to measure, beside the full and the smallest one; default 8. */
  samples?: number;
  /** Picks the random subnets; default 0. */
  seed?: number;
}

/** A subnet's latency in milliseconds: by the table, and measured as a whole. */
export interface LatencySample {
  /** The subnet. */
  config: Record<string, number>;
  /** Milliseconds, from the table. */
  predicted: number;
  /** Milliseconds, of the subnet itself. */
  measured: number;
}

/** How far predictions are from measurements of whole forwards. */
export interface LatencyError {
  /** Median and largest of |predicted - measured| / measured. */
  median: number;
  /** The largest one. */
  max: number;
  /**
   * Median of measured / predicted: the ratio of the whole to the sum of its operators. Predictions are not multiplied
   * by it.
   */
  scale: number;
  /** As `median` and `max`, of predictions multiplied by `scale`: how well ratios between subnets are predicted. */
  scaledMedian: number;
  /** The largest one, scaled in the same way. */
  scaledMax: number;
  /** The smallest and the full subnet first. */
  samples: LatencySample[];
}

/** @throws `ERR_ARGUMENT` */
function readTiming(options: LatencyTimingOptions): { warmup: number; repeats: number } {
  const { warmup = LATENCY_DEFAULTS.warmup, repeats = LATENCY_DEFAULTS.repeats } = options;
  if (warmup !== 0) requireCount("warmup", warmup);
  requireCount("repeats", repeats);
  return { warmup, repeats };
}

function requireCount(name: string, value: unknown, least = 1): void {
  if (isPositiveInteger(value) && value >= least) return;
  throw expected("ERR_ARGUMENT", `a whole number of at least ${least}`, name, value);
}

/** Measures what a table lacks; see `SearchSpace.measureLatency`. */
export async function measureTable(
  native: NativeSearchSpace,
  options: MeasureLatencyOptions,
): Promise<LatencyTable> {
  const { table = null, points = LATENCY_DEFAULTS.points, threads, signal } = options;
  const timing = readTiming(options);
  requireCount("points", points, 2);
  if (threads !== undefined) requireCount("threads", threads);
  if (table !== null && !(table instanceof LatencyTable))
    throw expected("ERR_ARGUMENT", "a LatencyTable", "table", table);
  const wanted = threads ?? table?.conditions.threads ?? getThreads();
  const conditions = conditionsOf(native.device, wanted);
  table?.requireConditions(conditions);
  const measured = await callNative(
    (call) =>
      native.measureLatency(
        table === null ? [] : toNativeTable(table),
        { ...timing, points, threads: wanted },
        call,
      ),
    signal,
    progressTo(options.onProgress),
  );
  const result = table ?? new LatencyTable(conditions);
  for (const { key, variables, points: rows } of measured.operators) {
    for (let at = 0; at < rows.length; at += variables + 1)
      result.add(key, [...rows.subarray(at, at + variables)], rows[at + variables] as number);
  }
  return result;
}

/** The conditions of a measurement made here and now. */
export function conditionsOf(device: string, threads: number): LatencyConditions {
  const isCpu = device === "cpu";
  return {
    device,
    threads,
    torch: libraryVersions().libtorch,
    hardware: isCpu ? (os.cpus()[0]?.model.trim() ?? os.arch()) : device.replace(/:\d+$/, ""),
  };
}

export function toNativeTable(table: LatencyTable): NativeLatencyOperator[] {
  return table.entries.map(({ key, points }) => ({
    key,
    variables: points[0]?.sizes.length ?? 0,
    points: Float64Array.from(points.flatMap(({ sizes, ms }) => [...sizes, ms])),
  }));
}

/** @throws `ERR_ARGUMENT` */
export function readErrorOptions(options: LatencyErrorOptions): { samples: number; seed: number } {
  const { samples = LATENCY_DEFAULTS.samples, seed = LATENCY_DEFAULTS.seed } = options;
  readTiming(options);
  requireCount("samples", samples);
  return { samples, seed };
}

/** Runs subnets as wholes, as exported ones, and compares with what a table predicts. */
export async function compareLatencies(
  native: NativeSearchSpace,
  table: LatencyTable,
  subnets: readonly (Omit<LatencySample, "measured"> & { widths: NativeWidths })[],
  options: LatencyErrorOptions,
): Promise<LatencyError> {
  table.requireConditions({ device: native.device });
  const timing = { ...readTiming(options), threads: table.conditions.threads };
  const widths = subnets.map((subnet) => subnet.widths);
  const measured = await callNative(
    (call) => native.timeSubnets(widths, timing, call),
    options.signal,
    progressTo(options.onProgress),
  );
  return latencyErrorOf(
    subnets.map(({ config, predicted }, at) => ({ config, predicted, measured: measured[at] as number })),
  );
}

function latencyErrorOf(samples: LatencySample[]): LatencyError {
  const scale = medianOf(samples.map(({ predicted, measured }) => measured / predicted));
  const errors = (factor: number): number[] =>
    samples.map(({ predicted, measured }) => Math.abs(predicted * factor - measured) / measured);
  return {
    median: medianOf(errors(1)),
    max: Math.max(...errors(1)),
    scale,
    scaledMedian: medianOf(errors(scale)),
    scaledMax: Math.max(...errors(scale)),
    samples,
  };
}

function progressTo(
  listener: ProgressListener | null | undefined,
): ((event: { done: number; total: number; message: string }) => void) | undefined {
  if (!listener) return undefined;
  return ({ done, total, message }) =>
    listener({ phase: "latency", done, total, message: `timing ${message}` });
}

export function noLatencyTable(): TorchSearchError {
  return new TorchSearchError(
    "ERR_NO_LATENCY_TABLE",
    "latency needs a table: call space.useLatencyTable(await space.measureLatency()), or give it a saved one",
  );
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}
