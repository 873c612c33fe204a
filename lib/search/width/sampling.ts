/** Random subnets within budgets, and how searchers make new subnets of old ones. */
import type { SearchSpace } from "../../space/search-space";
import type { Hyperparameter, SpaceMetric, SubnetConfig } from "../../space/types";
import type { Random } from "../../util/random";

/** Upper bounds by metric, in each metric's unit. */
export type Limits = Readonly<Record<string, number>>;

/** What sampling needs of a space. */
export type SampledSpace = Pick<SearchSpace, "hyperparameters" | "cost" | "sample">;

/** Uniform draws before one of them is bent into the budgets. */
const TRIES = 20;

/** The largest share of any budget that a subnet takes; 0 without budgets. Above 1 it does not fit. */
export function budgetUse(space: SampledSpace, config: SubnetConfig, limits: Limits): number {
  return Object.entries(limits).reduce(
    (most, [metric, limit]) => Math.max(most, space.cost(config, metric as SpaceMetric) / limit),
    0,
  );
}

/**
 * A random subnet that meets all limits and takes at least the share `minUse` of one of them: the first of 20 uniform
 * draws that does, else the last of them, narrowed or widened by {@link fitWithin}. The smallest subnet must meet the
 * limits; then so does what comes out.
 */
export function sampleWithin(
  space: SampledSpace,
  limits: Limits,
  minUse: number,
  random: Random,
): SubnetConfig {
  let config = space.sample(random);
  for (let i = 1; i < TRIES && !isWithin(space, config, limits, minUse); i++) config = space.sample(random);
  return fitWithin(space, config, limits, minUse, random);
}

function isWithin(space: SampledSpace, config: SubnetConfig, limits: Limits, minUse: number): boolean {
  const use = budgetUse(space, config, limits);
  return use <= 1 && (use >= minUse || Object.keys(limits).length === 0);
}

/**
 * Bends a subnet into the limits: while it exceeds one, a random hyperparameter takes a random smaller choice, which
 * ends at the smallest subnet at the latest; then, while it takes less than the share `minUse` of every limit, a random
 * hyperparameter takes its next larger choice, if that fits. Those of the user's own, whose order need not be one of
 * costs, are changed only where nothing else is left to be narrowed.
 */
export function fitWithin(
  space: SampledSpace,
  config: SubnetConfig,
  limits: Limits,
  minUse: number,
  random: Random,
): SubnetConfig {
  const result = { ...config };
  const { hyperparameters } = space;
  const custom = hyperparameters.filter(({ kind }) => kind === "custom");
  const counted = hyperparameters.filter(({ kind }) => kind !== "custom");
  for (const group of [counted, custom]) {
    let narrowable = group.filter((hyperparameter) => positionOf(hyperparameter, result) > 0);
    while (narrowable.length > 0 && budgetUse(space, result, limits) > 1) {
      const hyperparameter = random.choice(narrowable);
      const { name, choices } = hyperparameter;
      result[name] = choices[random.integer(positionOf(hyperparameter, result))] as number;
      narrowable = narrowable.filter((other) => positionOf(other, result) > 0);
    }
  }
  if (Object.keys(limits).length === 0) return result;
  let widenable = counted;
  while (widenable.length > 0 && budgetUse(space, result, limits) < minUse) {
    const hyperparameter = random.choice(widenable);
    const { name, choices } = hyperparameter;
    const wider = choices[positionOf(hyperparameter, result) + 1];
    if (wider !== undefined && budgetUse(space, { ...result, [name]: wider }, limits) <= 1)
      result[name] = wider;
    else widenable = widenable.filter((other) => other !== hyperparameter);
  }
  return result;
}

function positionOf({ name, choices }: Hyperparameter, config: SubnetConfig): number {
  return choices.indexOf(config[name] as number);
}

/** Each hyperparameter takes, with probability `p`, a uniformly drawn choice. */
export function mutate(
  { hyperparameters }: SampledSpace,
  config: SubnetConfig,
  p: number,
  random: Random,
): SubnetConfig {
  return Object.fromEntries(
    hyperparameters.map(({ name, choices }) => [
      name,
      random.chance(p) ? random.choice(choices) : (config[name] as number),
    ]),
  );
}

/** Each hyperparameter takes the choice of one parent or the other, evenly (uniform crossover). */
export function crossover(a: SubnetConfig, b: SubnetConfig, random: Random): SubnetConfig {
  return Object.fromEntries(
    Object.keys(a).map((name) => [name, (random.chance(0.5) ? a : b)[name] as number]),
  );
}
