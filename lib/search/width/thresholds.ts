/** Thresholds of degradation, and the subnets that they stand for. */
import type { Hyperparameter, SubnetConfig } from "../../space/types";
import type { Sensitivity } from "./sensitivity";

/**
 * The smallest choice of each hyperparameter that harms by no more than `threshold`: min { c : d(h, c) <= threshold }.
 */
export function configAtThreshold(
  hyperparameters: readonly Hyperparameter[],
  sensitivity: Readonly<Record<string, Sensitivity>>,
  threshold: number,
): SubnetConfig {
  return Object.fromEntries(
    hyperparameters.map(({ name, choices }) => {
      const { degradation } = sensitivity[name] as Sensitivity;
      const at = degradation.findIndex((harm) => harm <= threshold);
      return [name, choices.at(at) as number]; // the largest where all harm by more
    }),
  );
}

/** Thresholds that make a difference, ascending. The first tolerates nothing, not even what seems harmless. */
export function thresholdsOf(sensitivity: Readonly<Record<string, Sensitivity>>): number[] {
  const harms = new Set(Object.values(sensitivity).flatMap(({ degradation }) => degradation));
  return [-1, ...[...harms].sort((a, b) => a - b)];
}
