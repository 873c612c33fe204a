/** Constraints: upper bounds on what the subnet costs. Parsing, resolving, checking. */
import { TorchSearchError } from "../errors";
import { isCounted, type MetricOf, metricsOf } from "../profile/metrics";
import { describe, expected, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import type { Constraints, ConstraintValue } from "./types";

/** The metrics every constraint may name; a searcher may know more. */
export const KNOWN_METRICS = metricsOf("profile");
/** A cost that may be bounded. */
export type Metric = MetricOf<"profile">;

/** One bound as the user meant it: a number in the metric's unit, or a fraction (0 to 1] of the full model's. */
export type Bound = { kind: "absolute"; value: number } | { kind: "fraction"; value: number };

/** Bounds by name; a nested constraint `{ latency: { p95: 3 } }` is named `latency.p95`. */
export type Bounds = Record<string, Bound>;

/** Costs by name, in the metric's unit (latency in milliseconds, size and memory in bytes). */
export type Costs = Readonly<Record<string, number>>;

/**
 * Reads constraints. Decisions where a bound could be read more than one way:
 * - null stands for no bound, and so does leaving the metric out;
 * - a percentage must be above 0% and at most 100%: a larger one would never bind and is taken for a slip;
 * - a number must be finite and above 0; for metrics counted in whole units it must be at least 1, since `0.6` is
 *   most likely meant as `"60%"`;
 * - a number without `%` in a string is refused, so that `"60"` is never read as 60 %.
 *
 * @param known metrics that may be named, besides {@link KNOWN_METRICS}
 * @throws `ERR_UNKNOWN_CONSTRAINT` naming the nearest metric, `ERR_CONSTRAINT_VALUE` with a remedy
 */
export function parseConstraints(constraints: Constraints, known: readonly string[] = []): Bounds {
  if (!isRecord(constraints)) {
    throw expected("ERR_CONSTRAINT_VALUE", 'an object such as { flops: "60%" }', "constraints", constraints);
  }
  const names = [...new Set<string>([...KNOWN_METRICS, ...known])];
  const bounds: Bounds = {};
  for (const [name, value] of Object.entries(constraints)) {
    if (!names.includes(name)) {
      throw new TorchSearchError(
        "ERR_UNKNOWN_CONSTRAINT",
        `unknown constraint "${name}": ${suggestion(name, names)}`,
      );
    }
    collect(name, value, name, bounds);
  }
  return bounds;
}

function collect(path: string, value: ConstraintValue | undefined, metric: string, bounds: Bounds): void {
  if (value === null || value === undefined) return;
  if (isRecord(value)) {
    for (const [key, inner] of Object.entries(value)) collect(`${path}.${key}`, inner, metric, bounds);
    return;
  }
  bounds[path] = parseBound(path, value, metric);
}

function parseBound(path: string, value: unknown, metric: string): Bound {
  if (typeof value === "string") return { kind: "fraction", value: parsePercentage(path, value) };
  if (typeof value !== "number") {
    throw expected(
      "ERR_CONSTRAINT_VALUE",
      'a number, a percentage such as "60%", an object of those, or null',
      path,
      value,
    );
  }
  if (!(value > 0) || value === Number.POSITIVE_INFINITY) {
    throw new TorchSearchError(
      "ERR_CONSTRAINT_VALUE",
      `expected a finite number above 0 for ${path} but received ${describe(value)}; for no bound use null`,
    );
  }
  if (value < 1 && isCounted(metric)) {
    throw new TorchSearchError(
      "ERR_CONSTRAINT_VALUE",
      `expected at least 1 for ${path} but received ${value}; did you mean "${percent(value)}"?`,
    );
  }
  return { kind: "absolute", value };
}

function parsePercentage(path: string, text: string): number {
  const match = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*$/.exec(text);
  if (match === null) {
    throw new TorchSearchError(
      "ERR_CONSTRAINT_VALUE",
      `expected a number or a percentage such as "60%" for ${path} but received ${describe(text)}${remedy(text)}`,
    );
  }
  const value = Number(match[1]);
  if (!(value > 0 && value <= 100)) {
    throw new TorchSearchError(
      "ERR_CONSTRAINT_VALUE",
      `expected a percentage above 0% and up to 100% for ${path} but received ${describe(text)}; for no bound use null`,
    );
  }
  return value / 100;
}

/** What the text was probably meant to be: letters typed for digits, a comma for a point, a missing sign. */
function remedy(text: string): string {
  const mended = text.trim().replaceAll(/[oO]/g, "0").replaceAll(/[lI|]/g, "1").replaceAll(",", ".");
  if (/^(\d+(\.\d*)?|\.\d+)\s*(%|percent)$/.test(mended))
    return `; did you mean "${Number.parseFloat(mended)}%"?`;
  if (/^(\d+(\.\d*)?|\.\d+)$/.test(mended))
    return `; did you mean "${mended}%", or the number ${Number(mended)}?`;
  return "";
}

/**
 * Turns bounds into upper bounds in each metric's own unit.
 *
 * @param fullCosts the full model's costs, which percentages refer to
 * @throws `ERR_UNKNOWN_CONSTRAINT` when a bound's metric has no cost, `ERR_CONSTRAINT_VALUE` when a percentage
 *   refers to a cost that is not a finite number
 */
export function resolveBounds(bounds: Bounds, fullCosts: Costs): Record<string, number> {
  const resolved: Record<string, number> = {};
  for (const [name, bound] of Object.entries(bounds)) {
    const full = fullCosts[name];
    if (full === undefined) {
      const names = Object.keys(fullCosts);
      throw new TorchSearchError(
        "ERR_UNKNOWN_CONSTRAINT",
        `no cost is known for constraint "${name}": ${suggestion(name, names)}`,
      );
    }
    if (bound.kind === "absolute") resolved[name] = bound.value;
    else if (Number.isFinite(full)) resolved[name] = bound.value * full;
    else {
      throw new TorchSearchError(
        "ERR_CONSTRAINT_VALUE",
        `a percentage of ${name} needs the full model's value, which is ${describe(full)}; give an absolute bound`,
      );
    }
  }
  return resolved;
}

/** Parses and resolves in one go. */
export function resolveConstraints(constraints: Constraints, fullCosts: Costs): Record<string, number> {
  return resolveBounds(parseConstraints(constraints, Object.keys(fullCosts)), fullCosts);
}

/** Whether all bounds hold. A bound whose cost is missing or NaN does not hold. */
export function satisfies(costs: Costs, resolved: Readonly<Record<string, number>>): boolean {
  return violated(costs, resolved).length === 0;
}

/** Names of the bounds that do not hold. */
export function violated(costs: Costs, resolved: Readonly<Record<string, number>>): string[] {
  return Object.entries(resolved)
    .filter(([name, bound]) => !((costs[name] ?? Number.NaN) <= bound))
    .map(([name]) => name);
}

/**
 * Refuses bounds below what the space can reach.
 *
 * @param smallest the smallest value of each metric over all subnets
 * @param fullCosts the full model's costs, to print percentages next to the numbers
 * @throws `ERR_CONSTRAINT_UNREACHABLE` printing the smallest reachable value of each bound that is too low
 */
export function requireReachable(
  resolved: Readonly<Record<string, number>>,
  smallest: Costs,
  fullCosts: Costs = {},
): void {
  const missed = violated(smallest, resolved);
  if (missed.length === 0) return;
  const lines = missed.map((name) => {
    const at = (value: number | undefined): string => formatCost(value ?? Number.NaN, fullCosts[name]);
    return `${name} <= ${at(resolved[name])} can't be reached: the smallest reachable is ${at(smallest[name])}`;
  });
  throw new TorchSearchError(
    "ERR_CONSTRAINT_UNREACHABLE",
    `${lines.join("; ")}. Raise the bound, or convert the model with smaller choices.`,
  );
}

function formatCost(value: number, full: number | undefined): string {
  const text = Number.isInteger(value) ? String(value) : value.toPrecision(6);
  if (!(full !== undefined && full > 0)) return text;
  // Rounded up, so that the printed percentage can be used as a bound.
  return `${text} (${Number((Math.ceil((value / full) * 1e4) / 1e2).toFixed(2))}%)`;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(4))}%`;
}
