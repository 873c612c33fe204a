/** Constraints: bounds on the subnet's costs. Parsing, resolving, checking. */
import { TorchSearchError } from "../errors";
import { isCounted, type MetricOf, metricsOf } from "../profile/metrics";
import { describe, expected, isRecord, requireRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import type { Constraints, ConstraintValue } from "./types";

/** The metrics every constraint may name; a searcher may know more. */
export const KNOWN_METRICS = metricsOf("profile");
/** A cost that may be bounded. */
export type Metric = MetricOf<"profile">;

/** One bound as the user gave it: a number in the metric's unit, or a fraction (0 to 1] of the full model's value. */
type GivenBound = { kind: "absolute" | "fraction"; value: number };

/** Constraints after parsing. A nested constraint `{ latency: { p95: 3 } }` is named `latency.p95`. */
export interface ParsedConstraints {
  upper: Readonly<Record<string, GivenBound>>;
  lower: Readonly<Record<string, GivenBound>>;
}

/** Bounds by name, as numbers in the metric's unit. */
export type Bounds = Readonly<Record<string, number>>;

/** Costs by name, in the metric's unit (latency in milliseconds, size and memory in bytes). */
export type Costs = Readonly<Record<string, number>>;

/** Options of {@link parseConstraints}. */
export interface ParseConstraintsOptions {
  /** Metrics that may be named, besides {@link KNOWN_METRICS}. */
  known?: readonly string[];
  /** Whether a pair `[lower, upper]` may have a lower bound; default false. */
  lowerBounds?: boolean;
  /** The name of the searcher, for messages. */
  searcher?: string;
}

/**
 * Parses constraints. Decisions where a bound could be read more than one way:
 * - null means no bound, as does leaving the metric out;
 * - a pair is `[lower, upper]`, and null in it means no bound on that side;
 * - a percentage must be above 0% and at most 100%: a larger one would never bind, so it is taken for a mistake;
 * - a number must be finite and above 0; for metrics counted in whole units it must be at least 1, because `0.6` is
 *   most likely meant as `"60%"`;
 * - a number without `%` in a string is refused, so that `"60"` is never read as 60 %.
 *
 * @throws `ERR_UNKNOWN_CONSTRAINT` naming the nearest metric, `ERR_CONSTRAINT_VALUE` with a remedy
 */
export function parseConstraints(
  constraints: Constraints<string>,
  { known = [], lowerBounds = false, searcher = "This function" }: ParseConstraintsOptions = {},
): ParsedConstraints {
  if (!isRecord(constraints)) {
    throw expected("ERR_CONSTRAINT_VALUE", 'an object such as { flops: "60%" }', "constraints", constraints);
  }
  const names = [...new Set([...KNOWN_METRICS, ...known])];
  const parsed = { upper: {}, lower: {} };
  for (const [name, value] of Object.entries(constraints)) {
    if (!names.includes(name)) {
      throw new TorchSearchError(
        "ERR_UNKNOWN_CONSTRAINT",
        `unknown constraint "${name}": ${suggestion(name, names)}`,
      );
    }
    collect(name, value, name, parsed);
  }
  const lower = Object.keys(parsed.lower)[0];
  if (lower !== undefined && !lowerBounds) {
    throw new TorchSearchError(
      "ERR_CONSTRAINT_VALUE",
      `${searcher} takes upper bounds only, but ${lower} has a lower one; replace its pair by one value, such as "60%".`,
    );
  }
  return parsed;
}

function collect(
  path: string,
  value: ConstraintValue | undefined,
  metric: string,
  parsed: { upper: Record<string, GivenBound>; lower: Record<string, GivenBound> },
): void {
  if (value === null || value === undefined) return;
  if (isPair(value)) {
    const [lower, upper] = value;
    if (lower !== null) parsed.lower[path] = parseBound(path, lower, metric);
    if (upper !== null) parsed.upper[path] = parseBound(path, upper, metric);
  } else if (isRecord(value)) {
    for (const [key, inner] of Object.entries(value)) collect(`${path}.${key}`, inner, metric, parsed);
  } else {
    parsed.upper[path] = parseBound(path, value, metric);
  }
}

function isPair(value: unknown): value is readonly [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}

function parseBound(path: string, value: unknown, metric: string): GivenBound {
  if (typeof value === "string") return { kind: "fraction", value: parsePercentage(path, value) };
  if (typeof value !== "number") {
    throw expected(
      "ERR_CONSTRAINT_VALUE",
      'a number, a percentage such as "60%", a pair [lower, upper] or an object of those, or null',
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

/** The bound that a text was probably meant to be: letters typed for digits, a comma for a point, a missing sign. */
function remedy(text: string): string {
  const corrected = text.trim().replaceAll(/[oO]/g, "0").replaceAll(/[lI|]/g, "1").replaceAll(",", ".");
  if (/^(\d+(\.\d*)?|\.\d+)\s*(%|percent)$/.test(corrected))
    return `; did you mean "${Number.parseFloat(corrected)}%"?`;
  if (/^(\d+(\.\d*)?|\.\d+)$/.test(corrected))
    return `; did you mean "${corrected}%", or the number ${Number(corrected)}?`;
  return "";
}

/** Constraints as numbers, in each metric's unit. */
export interface ResolvedConstraints {
  /** Upper bounds. */
  bounds: Bounds;
  /** Lower bounds; empty for a searcher that takes none. */
  lowerBounds: Bounds;
}

/**
 * Resolves parsed constraints to numbers in each metric's unit.
 *
 * @param fullCosts the full model's costs, which percentages refer to
 * @throws `ERR_UNKNOWN_CONSTRAINT` when a bound's metric has no cost; `ERR_CONSTRAINT_VALUE` when a percentage
 *   refers to a cost that is not a finite number, or a lower bound is above the upper one
 */
export function resolveParsed({ upper, lower }: ParsedConstraints, fullCosts: Costs): ResolvedConstraints {
  const resolved = { bounds: resolveAll(upper, fullCosts), lowerBounds: resolveAll(lower, fullCosts) };
  for (const [name, least] of Object.entries(resolved.lowerBounds)) {
    const most = resolved.bounds[name] ?? Number.POSITIVE_INFINITY;
    if (least > most) {
      throw new TorchSearchError(
        "ERR_CONSTRAINT_VALUE",
        `expected a lower bound of at most the upper one, ${most}, for ${name} but received ${least}; a pair is [lower, upper]`,
      );
    }
  }
  return resolved;
}

function resolveAll(given: Readonly<Record<string, GivenBound>>, fullCosts: Costs): Bounds {
  const bounds: Record<string, number> = {};
  for (const [name, bound] of Object.entries(given)) {
    const full = fullCosts[name];
    if (full === undefined) {
      const names = Object.keys(fullCosts);
      throw new TorchSearchError(
        "ERR_UNKNOWN_CONSTRAINT",
        `no cost is known for constraint "${name}": ${suggestion(name, names)}`,
      );
    }
    if (bound.kind === "absolute") bounds[name] = bound.value;
    else if (Number.isFinite(full)) bounds[name] = bound.value * full;
    else {
      throw new TorchSearchError(
        "ERR_CONSTRAINT_VALUE",
        `a percentage of ${name} needs the full model's value, which is ${describe(full)}; give an absolute bound`,
      );
    }
  }
  return bounds;
}

/**
 * Parses constraints and resolves them to upper bounds, in each metric's unit.
 *
 * @param fullCosts the full model's costs, which percentages refer to; constraints may name any of them
 * @throws `ERR_UNKNOWN_CONSTRAINT`, `ERR_CONSTRAINT_VALUE`
 */
export function resolveConstraints(constraints: Constraints<string>, fullCosts: Costs): Bounds {
  requireRecord(fullCosts, "fullCosts");
  return resolveParsed(parseConstraints(constraints, { known: Object.keys(fullCosts) }), fullCosts).bounds;
}

/** Whether all bounds hold. A bound on a cost that is missing or NaN doesn't hold. */
export function satisfies(costs: Costs, bounds: Bounds, lowerBounds: Bounds = {}): boolean {
  requireRecord(lowerBounds, "lowerBounds");
  return violated(costs, bounds).length === 0 && below(costs, lowerBounds).length === 0;
}

/** The names of the upper bounds that don't hold. */
export function violated(costs: Costs, bounds: Bounds): string[] {
  requireRecord(costs, "costs");
  requireRecord(bounds, "bounds");
  return Object.entries(bounds)
    .filter(([name, bound]) => !((costs[name] ?? Number.NaN) <= bound))
    .map(([name]) => name);
}

/** The names of the lower bounds that don't hold. */
function below(costs: Costs, lowerBounds: Bounds): string[] {
  return Object.entries(lowerBounds)
    .filter(([name, bound]) => !((costs[name] ?? Number.NaN) >= bound))
    .map(([name]) => name);
}

/**
 * Refuses upper bounds below the smallest, and lower bounds above the largest cost that any subnet has.
 *
 * @param smallest the smallest value of each metric over all subnets
 * @param fullCosts the full model's costs, to print percentages next to the numbers
 * @param lowerBounds lower bounds, when the searcher takes them; `fullCosts` are then the largest that any subnet has
 * @throws `ERR_CONSTRAINT_UNREACHABLE` printing the nearest reachable value of each bound that can't be met
 */
export function requireReachable(
  bounds: Bounds,
  smallest: Costs,
  fullCosts: Costs = {},
  lowerBounds: Bounds = {},
): void {
  requireRecord(fullCosts, "fullCosts");
  requireRecord(lowerBounds, "lowerBounds");
  const tooSmall = violated(smallest, bounds).map((name) => {
    const at = (value: number | undefined): string => formatCost(value ?? Number.NaN, fullCosts[name]);
    return `${name} <= ${at(bounds[name])} can't be reached: the smallest reachable is ${at(smallest[name])}`;
  });
  const tooLarge = below(fullCosts, lowerBounds).map(
    (name) =>
      `${name} >= ${lowerBounds[name]} can't be reached: the largest reachable is ${fullCosts[name] ?? "unknown"}`,
  );
  if (tooSmall.length + tooLarge.length === 0) return;
  const remedies = [
    ...(tooSmall.length > 0 ? ["Raise the bound, or convert the model with smaller choices."] : []),
    ...(tooLarge.length > 0 ? ["Lower the lower bound."] : []),
  ];
  throw new TorchSearchError(
    "ERR_CONSTRAINT_UNREACHABLE",
    `${[...tooSmall, ...tooLarge].join("; ")}. ${remedies.join(" ")}`,
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
