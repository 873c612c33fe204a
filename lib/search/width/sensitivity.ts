/** What narrowing one hyperparameter alone does to the score, and which subnets follow from it. */
import { type Costs, satisfies } from "../../contract/constraints";
import type { Hyperparameter, SubnetConfig } from "../../space/types";

/** The sensitivity of one hyperparameter; arrays run parallel to its choices, ascending. */
export interface Sensitivity {
  /** Widths that were measured, rising. */
  choices: number[];
  /** The score with this hyperparameter at the choice and all others full; null where it was not measured. */
  scores: (number | null)[];
  /**
   * How far the score falls below the full model's: at least 0, never less at a smaller choice, quadratic between measured
   * ones. Of a hyperparameter of the user's own: how far below that of its best choice.
   */
  degradation: number[];
}

/**
 * Makes degradations of scores. The score of a smaller width may come out higher by chance; taken as it is, it would
 * let a search believe that more narrowing does less harm. So each choice counts with the worst of all measured choices
 * from it up. One that was not measured lies between its measured neighbours a < c < b:
 * d(c) = d(b) + (d(a) - d(b)) ((b - c) / (b - a))^2, since harm grows with the square of a small perturbation (LeCun et
 * al., Optimal Brain Damage, 1989). The smallest choice must be measured; the largest, the full one, harms nothing.
 */
export function degradationOf(
  scores: readonly (number | null)[],
  fullScore: number,
  choices: readonly number[],
): number[] {
  const harms: number[] = [];
  let running = 0;
  let above = scores.length - 1; // the last measured choice, from the full one down
  for (let i = scores.length - 1; i >= 0; i--) {
    const score = scores[i] as number | null;
    if (score === null) continue;
    const before = running;
    running = Math.max(running, fullScore - score);
    const [a, b] = [choices[i] as number, choices[above] as number];
    for (let c = above - 1; c > i; c--)
      harms[c] = before + (running - before) * ((b - (choices[c] as number)) / (b - a)) ** 2;
    harms[i] = running;
    above = i;
  }
  return harms;
}

/**
 * The same of a hyperparameter of the user's own, whose choices are no less and more: each stands for itself, and one
 * that scores better than the full model makes that the worse one.
 */
export function customDegradationOf(scores: readonly (number | null)[]): number[] {
  const known = scores.filter((score) => score !== null);
  const best = Math.max(...known);
  const worst = Math.min(...known); // what is not measured yet is thought no better
  return scores.map((score) => best - (score ?? worst));
}

/**
 * Which choices to measure: all reduced ones, or `limit` of them, evenly spread and with the smallest among them.
 * Positions in `choices`, descending.
 */
export function choicesToMeasure(count: number, limit: number | null): number[] {
  const reduced = count - 1;
  const wanted = limit === null ? reduced : Math.min(limit, reduced);
  return Array.from({ length: wanted }, (_, i) => Math.round(((wanted - 1 - i) * reduced) / wanted));
}

/** Each hyperparameter's smallest width that harms by no more than `threshold`. */
export function configAtThreshold(
  hyperparameters: readonly Hyperparameter[],
  sensitivity: Readonly<Record<string, Sensitivity>>,
  threshold: number,
): SubnetConfig {
  return Object.fromEntries(
    hyperparameters.map(({ name, choices, full }) => {
      const { degradation } = sensitivity[name] as Sensitivity;
      const at = degradation.findIndex((harm) => harm <= threshold);
      return [name, at < 0 ? full : (choices[at] as number)];
    }),
  );
}

/** Thresholds that make a difference, ascending. The first tolerates nothing, not even what seems harmless. */
export function thresholdsOf(sensitivity: Readonly<Record<string, Sensitivity>>): number[] {
  const harms = new Set(Object.values(sensitivity).flatMap(({ degradation }) => degradation));
  return [-1, ...[...harms].sort((a, b) => a - b)];
}

/** A step of growing: one hyperparameter, from its width to a larger one. */
interface Growth {
  name: string;
  config: SubnetConfig;
  /** Harm undone, per share of the budgets spent. */
  rate: number;
  /** Present width over the full one. */
  ratio: number;
}

/**
 * The best step of growing that stays within the bounds, or null when none does: the one that undoes most measured
 * harm per share of the budgets it spends (summed over the bounds). Steps that undo none come after these, the relatively
 * narrowest hyperparameter first, because widths that are harmless alone may harm together. Last come steps that spend
 * nothing: widths inside a block that is left out, which would make it dear to put back.
 */
export function bestGrowth(
  hyperparameters: readonly Hyperparameter[],
  sensitivity: Readonly<Record<string, Sensitivity>>,
  config: Readonly<SubnetConfig>,
  bounds: Readonly<Record<string, number>>,
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
        best = { name, config: grown, rate, ratio };
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
