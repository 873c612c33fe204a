/** Widening a subnet as far as the bounds allow: a greedy knapsack by harm undone per cost. */
import { type Bounds, type Costs, satisfies } from "../../contract/constraints";
import {
  requireBounds,
  requireHyperparameters,
  requireMethods,
  requireSignal,
  requireSubnet,
} from "../../space/part-arguments";
import { boundedCosts } from "../../space/sampling";
import type { SearchSpace } from "../../space/search-space";
import type { Hyperparameter, SubnetConfig } from "../../space/types";
import { throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { requireSensitivities } from "./part-arguments";
import type { Sensitivity } from "./sensitivity";

/**
 * Widens a subnet as far as the bounds allow, in each step where that undoes most degradation per share of the bounds
 * spent (the greedy rule for knapsacks: Dantzig, "Discrete-Variable Extremum Problems", Operations Research 5, 1957).
 * The sum of the degradations never rises.
 *
 * @throws `ERR_ARGUMENT`, `ERR_ABORTED`
 */
export async function grow(
  space: Pick<SearchSpace, "hyperparameters" | "cost">,
  sensitivity: Readonly<Record<string, Sensitivity>>,
  from: SubnetConfig,
  bounds: Bounds,
  signal: AbortSignal | null,
): Promise<SubnetConfig> {
  requireMethods(space, "space", ["cost"]);
  requireHyperparameters(space.hyperparameters);
  requireSensitivities(sensitivity, space.hyperparameters);
  requireSubnet(
    from,
    "from",
    space.hyperparameters.map(({ name }) => name),
  );
  requireBounds(bounds);
  requireSignal(signal);
  const costsOf = (config: SubnetConfig): Costs => boundedCosts(space, config, bounds);
  const { hyperparameters } = space;
  const breather = new Breather(); // a large space takes many steps
  let config = from;
  for (;;) {
    const grown = bestGrowth(hyperparameters, sensitivity, config, bounds, costsOf);
    if (grown === null) return config;
    config = grown;
    await breather.breathe();
    throwIfAborted(signal);
  }
}

/** A step of growing: one hyperparameter, from its width to a larger one. */
interface Growth {
  config: SubnetConfig;
  /** Harm undone, per share of the bounds spent. */
  rate: number;
  /** Present width over the full one. */
  ratio: number;
}

/**
 * The best step of growing that stays within the bounds, or null when none does: the one with the largest (d(h, c) -
 * d(h, c')) / sum over bounded metrics m of (cost_m(c') - cost_m(c)) / bound_m, the harm that widening h from c to c'
 * undoes per share of the bounds that it spends. Steps that undo no harm come after these, the relatively narrowest
 * hyperparameter first, because widths that are harmless alone may harm together. Last come steps that spend nothing:
 * widths inside a block that is left out, which would make it expensive to put back.
 */
function bestGrowth(
  hyperparameters: readonly Hyperparameter[],
  sensitivity: Readonly<Record<string, Sensitivity>>,
  config: Readonly<SubnetConfig>,
  bounds: Bounds,
  costsOf: (config: SubnetConfig) => Costs,
): SubnetConfig | null {
  const before = costsOf(config);
  let best: Growth | null = null;
  for (const { name, kind, choices, full } of hyperparameters) {
    const { degradation } = sensitivity[name] as Sensitivity;
    const width = config[name] as number;
    const at = choices.indexOf(width);
    const harm = degradation[at] as number;
    const targets = kind === "custom" ? betterChoices(degradation, at) : widerChoices(degradation, at);
    for (const target of targets) {
      const grown = { ...config, [name]: choices[target] as number };
      const costs = costsOf(grown);
      if (!satisfies(costs, bounds)) continue;
      const spent = Object.entries(bounds).reduce(
        (sum, [metric, bound]) => sum + ((costs[metric] as number) - (before[metric] as number)) / bound,
        0,
      );
      const undone = harm - (degradation[target] as number);
      const rate = spent === 0 ? -1 : undone / Math.max(spent, 1e-12);
      const ratio = kind === "custom" ? 1 : width / full;
      if (best === null || rate > best.rate || (rate === best.rate && ratio < best.ratio)) {
        best = { config: grown, rate, ratio };
      }
      break; // the step that undoes harm, where it fits; else the next width
    }
  }
  return best?.config ?? null;
}

/** The next wider choice that undoes harm, then the next wider one. */
function widerChoices(degradation: readonly number[], at: number): number[] {
  if (at === degradation.length - 1) return [];
  const better = degradation.findIndex((other, i) => i > at && other < (degradation[at] as number));
  return better < 0 ? [at + 1] : [better, at + 1];
}

/** All choices that harm less, the best one first. */
function betterChoices(degradation: readonly number[], at: number): number[] {
  const harm = (i: number): number => degradation[i] as number;
  return [...degradation.keys()].filter((i) => harm(i) < harm(at)).sort((a, b) => harm(a) - harm(b));
}
