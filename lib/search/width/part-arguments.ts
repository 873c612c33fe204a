/** Checks of what programs hand to the parts of searchers: the search's own objects, and sensitivities. */

import { TorchSearchError } from "../../errors";
import {
  requireBounds,
  requireHyperparameters,
  requireMethods,
  requireRandom,
  requireSignal,
  requireSubnet,
} from "../../space/part-arguments";
import type { Hyperparameter } from "../../space/types";
import { expected, isFunction, isRecord } from "../../util/check";
import { type ConfigRule, refusal } from "../../util/rules";
import type { Sensitivity } from "./sensitivity";
import type { SearchTools } from "./space-searcher";

const FUNCTIONS: readonly (keyof SearchTools)[] = [
  "score",
  "scoreRecalibrated",
  "measure",
  "measureAll",
  "once",
  "fits",
  "save",
  "report",
  "log",
];

/** Refuses what are no `SpaceSearcher.tools`. @throws `ERR_ARGUMENT` */
export function requireTools(value: unknown): void {
  requireMethods(value, "tools", FUNCTIONS);
  const { space, bounds, random, signal } = value as SearchTools;
  requireMethods(space, "tools.space", ["cost", "select"]);
  requireBounds(bounds);
  requireRandom(random);
  requireSignal(signal);
}

/** Refuses a state that lacks one of these keys, or holds another kind of value there. @throws `ERR_ARGUMENT` */
export function requireState(
  value: unknown,
  kinds: Readonly<Record<string, (held: unknown) => boolean>>,
): void {
  if (!isRecord(value)) throw expected("ERR_ARGUMENT", "a searcher's state", "state", value);
  for (const [key, isSound] of Object.entries(kinds)) {
    if (!isSound(value[key]))
      throw expected("ERR_ARGUMENT", "what a searcher's state holds there", `state.${key}`, value[key]);
  }
}

/** Refuses what lacks the sensitivity of one of these hyperparameters. @throws `ERR_ARGUMENT` */
export function requireSensitivities(value: unknown, hyperparameters: readonly Hyperparameter[]): void {
  if (!isRecord(value)) throw expected("ERR_ARGUMENT", "sensitivities by name", "sensitivity", value);
  for (const { name, choices } of hyperparameters) {
    const held = Object.hasOwn(value, name) ? value[name] : undefined;
    const { degradation } = (isRecord(held) ? held : {}) as Partial<Sensitivity>;
    const sound =
      Array.isArray(degradation) &&
      degradation.length === choices.length &&
      degradation.every((harm) => typeof harm === "number");
    if (!sound) throw expected("ERR_ARGUMENT", "a degradation for each choice", `sensitivity.${name}`, held);
  }
}

/** Refuses what `bisect` can't take. @throws `ERR_ARGUMENT` */
export function requireBisection(
  hyperparameters: unknown,
  sensitivity: unknown,
  largestConfig: unknown,
  fits: unknown,
): void {
  requireHyperparameters(hyperparameters);
  requireSensitivities(sensitivity, hyperparameters as readonly Hyperparameter[]);
  requireSubnet(largestConfig, "largestConfig");
  if (!isFunction(fits)) throw expected("ERR_ARGUMENT", "a function", "fits", fits);
}

/** Refuses values that a searcher's config may not have. @throws `ERR_ARGUMENT` */
export function requireConfigKeys(config: unknown, keys: Readonly<Record<string, ConfigRule>>): void {
  if (typeof config !== "object" || config === null)
    throw expected("ERR_ARGUMENT", "a searcher's config", "config", config);
  for (const [key, rule] of Object.entries(keys)) {
    const value = (config as Record<string, unknown>)[key];
    if (!rule.accepts(value)) throw new TorchSearchError("ERR_ARGUMENT", refusal(rule, key, value));
  }
}
