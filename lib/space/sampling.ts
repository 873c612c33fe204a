/** Random subnets within bounds, and how searchers make new subnets of old ones. */
import { type Bounds, type Costs, satisfies } from "../contract/constraints";
import type { Random } from "../util/random";
import {
  requireBounds,
  requireHyperparameters,
  requireMethods,
  requireRandom,
  requireSubnet,
  requireWithin,
} from "./part-arguments";
import type { Hyperparameter, SpaceMetric, SubnetConfig } from "./types";

/** What sampling needs of a space. */
export interface SampledSpace {
  /** What there is to choose. */
  readonly hyperparameters: readonly Hyperparameter[];
  /** The cost of a subnet, without running it. */
  cost(config: Readonly<SubnetConfig>, metric: SpaceMetric): number;
  /** A uniform choice of each hyperparameter. */
  sample(rng: Random): SubnetConfig;
}

/** Uniform draws before one of them is bent into the bounds. */
const TRIES = 20;

/** A subnet's costs by the metrics that are bounded. @throws `ERR_ARGUMENT` */
export function boundedCosts(
  space: Pick<SampledSpace, "cost">,
  config: Readonly<SubnetConfig>,
  bounds: Bounds,
): Record<string, number> {
  requireMethods(space, "space", ["cost"]);
  requireBounds(bounds);
  requireSubnet(config, "config", []);
  return Object.fromEntries(
    Object.keys(bounds).map((metric) => [metric, space.cost(config, metric as SpaceMetric)]),
  );
}

/** The largest share of any bound that a subnet takes; 0 without bounds. @throws `ERR_ARGUMENT` */
export function budgetUse(space: Pick<SampledSpace, "cost">, config: SubnetConfig, bounds: Bounds): number {
  return useOf(boundedCosts(space, config, bounds), bounds);
}

function useOf(costs: Costs, bounds: Bounds): number {
  return Object.entries(bounds).reduce(
    (most, [metric, bound]) => Math.max(most, (costs[metric] as number) / bound),
    0,
  );
}

/**
 * A random subnet that meets all bounds and takes at least the share `minUse` of one of them: the first of 20 uniform
 * draws that does, else the last of them, narrowed or widened by {@link fitWithin}. The smallest subnet must meet the
 * bounds; then the result meets them too.
 *
 * @throws `ERR_ARGUMENT`
 */
export function sampleWithin(
  space: SampledSpace,
  bounds: Bounds,
  minUse: number,
  random: Random,
): SubnetConfig {
  requireSampled(space, bounds, minUse, random);
  const accepted = (config: SubnetConfig): boolean => {
    const costs = boundedCosts(space, config, bounds);
    return satisfies(costs, bounds) && (Object.keys(bounds).length === 0 || useOf(costs, bounds) >= minUse);
  };
  let config = space.sample(random);
  for (let i = 1; i < TRIES && !accepted(config); i++) config = space.sample(random);
  return fitWithin(space, config, bounds, minUse, random);
}

/**
 * Bends a subnet into the bounds. While it exceeds one, a random hyperparameter takes a random smaller choice, which
 * ends at the smallest subnet at the latest. Then, while it takes less than the share `minUse` of every bound, a random
 * hyperparameter takes its next larger choice, if that fits. Hyperparameters of the user's own, whose order need not be
 * one of costs, are changed only where nothing else is left to be narrowed.
 *
 * @throws `ERR_ARGUMENT`
 */
export function fitWithin(
  space: SampledSpace,
  config: SubnetConfig,
  bounds: Bounds,
  minUse: number,
  random: Random,
): SubnetConfig {
  requireSampled(space, bounds, minUse, random);
  requireSubnet(
    config,
    "config",
    space.hyperparameters.map(({ name }) => name),
  );
  const result = { ...config };
  const fits = (candidate: SubnetConfig): boolean =>
    satisfies(boundedCosts(space, candidate, bounds), bounds);
  const { hyperparameters } = space;
  const custom = hyperparameters.filter(({ kind }) => kind === "custom");
  const counted = hyperparameters.filter(({ kind }) => kind !== "custom");
  for (const group of [counted, custom]) {
    let narrowable = group.filter((hyperparameter) => positionOf(hyperparameter, result) > 0);
    while (narrowable.length > 0 && !fits(result)) {
      const hyperparameter = random.choice(narrowable);
      const { name, choices } = hyperparameter;
      result[name] = choices[random.integer(positionOf(hyperparameter, result))] as number;
      narrowable = narrowable.filter((other) => positionOf(other, result) > 0);
    }
  }
  if (Object.keys(bounds).length === 0) return result;
  let widenable = counted;
  while (widenable.length > 0 && budgetUse(space, result, bounds) < minUse) {
    const hyperparameter = random.choice(widenable);
    const { name, choices } = hyperparameter;
    const wider = choices[positionOf(hyperparameter, result) + 1];
    if (wider !== undefined && fits({ ...result, [name]: wider })) result[name] = wider;
    else widenable = widenable.filter((other) => other !== hyperparameter);
  }
  return result;
}

function requireSampled(space: unknown, bounds: unknown, minUse: unknown, random: unknown): void {
  requireMethods(space, "space", ["cost", "sample"]);
  requireHyperparameters((space as SampledSpace).hyperparameters);
  requireBounds(bounds);
  requireWithin(minUse, "minUse", 0, Number.MAX_VALUE);
  requireRandom(random);
}

function positionOf({ name, choices }: Hyperparameter, config: SubnetConfig): number {
  return choices.indexOf(config[name] as number);
}

/** Mutation: each hyperparameter takes, with probability `p`, a uniformly drawn choice. @throws `ERR_ARGUMENT` */
export function mutate(
  space: Pick<SampledSpace, "hyperparameters">,
  config: SubnetConfig,
  p: number,
  random: Random,
): SubnetConfig {
  const hyperparameters: unknown = (space as Partial<SampledSpace> | null)?.hyperparameters;
  requireHyperparameters(hyperparameters);
  requireSubnet(
    config,
    "config",
    hyperparameters.map(({ name }) => name),
  );
  requireWithin(p, "p", 0, 1);
  requireRandom(random);
  return Object.fromEntries(
    hyperparameters.map(({ name, choices }) => [
      name,
      random.chance(p) ? random.choice(choices) : (config[name] as number),
    ]),
  );
}

/** Uniform crossover: each hyperparameter takes the choice of one parent or the other, evenly. @throws `ERR_ARGUMENT` */
export function crossover(a: SubnetConfig, b: SubnetConfig, random: Random): SubnetConfig {
  requireSubnet(a, "a");
  requireSubnet(b, "b", Object.keys(a));
  requireRandom(random);
  return Object.fromEntries(
    Object.keys(a).map((name) => [name, (random.chance(0.5) ? a : b)[name] as number]),
  );
}
