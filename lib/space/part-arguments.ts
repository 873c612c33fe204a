/**
 * Checks of what programs hand to the parts that searchers are made of: spaces, subnets, bounds, random numbers. They cost
 * next to nothing beside what the parts do, which run thousands of times in a search.
 */
import { expected, isRecord } from "../util/check";
import { Random } from "../util/random";
import type { Hyperparameter } from "./types";

/** A refusal of an argument. */
const refused = (what: string, name: string, value: unknown): Error =>
  expected("ERR_ARGUMENT", what, name, value);

/** Refuses what lacks one of these methods. @throws `ERR_ARGUMENT` */
export function requireMethods(value: unknown, name: string, methods: readonly string[]): void {
  const found = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const missing = methods.find((method) => typeof found[method] !== "function");
  if (missing !== undefined) throw refused(`an object with the method ${missing}`, name, value);
}

/** Refuses what is no list of hyperparameters. @throws `ERR_ARGUMENT` */
export function requireHyperparameters(value: unknown): asserts value is readonly Hyperparameter[] {
  if (!Array.isArray(value)) throw refused("an array", "hyperparameters", value);
  for (const [at, each] of value.entries()) {
    const { name, choices } = (each ?? {}) as Partial<Hyperparameter>;
    // The ends only: a space may have many thousands of choices.
    if (typeof name !== "string" || !Array.isArray(choices) || ![choices[0], choices.at(-1)].every(isNumber))
      throw refused("a hyperparameter, with its name and choices", `hyperparameters[${at}]`, each);
  }
}

/** Refuses what doesn't give a number to each of some hyperparameters. @throws `ERR_ARGUMENT` */
export function requireSubnet(value: unknown, name: string, names?: readonly string[]): void {
  if (!isRecord(value)) throw refused("a subnet's config", name, value);
  for (const key of names ?? Object.keys(value)) {
    if (!isNumber(Object.hasOwn(value, key) ? value[key] : undefined))
      throw refused("a number", `${name}.${key}`, value[key]);
  }
}

/** Refuses what are no upper bounds. @throws `ERR_ARGUMENT` */
export function requireBounds(value: unknown): void {
  if (!isRecord(value)) throw refused("bounds by metric", "bounds", value);
  for (const metric in value)
    if (!isNumber(value[metric])) throw refused("a number", `bounds.${metric}`, value[metric]);
}

/** Refuses a number outside of a range. @throws `ERR_ARGUMENT` */
export function requireWithin(value: unknown, name: string, least: number, most: number): void {
  if (typeof value === "number" && value >= least && value <= most) return;
  throw refused(`a number from ${least} to ${most}`, name, value);
}

/** Refuses another source of random numbers than a `Random`. @throws `ERR_ARGUMENT` */
export function requireRandom(value: unknown): void {
  if (!(value instanceof Random)) throw refused("a Random", "random", value);
}

/** Refuses what is neither an AbortSignal nor null. @throws `ERR_ARGUMENT` */
export function requireSignal(value: unknown): void {
  if (value !== null && !(value instanceof AbortSignal))
    throw refused("an AbortSignal or null", "signal", value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && !Number.isNaN(value);
}
