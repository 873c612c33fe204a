/** What a search for formats gives and what its checkpoint says of the space, in plain values. */
import type { QuantizationMetric } from "../../quantization/costs";
import type { FormatConfig, QuantizationSpace } from "../../quantization/space";

/** Formats that were chosen. */
export interface QuantizedResult {
  /** Formats by hyperparameter. */
  config: FormatConfig;
  /** Their score by the config's `scoreFunc`; without one, minus the sum of the sensitivities. */
  score: number;
  /** In each metric's unit. */
  costs: Record<QuantizationMetric, number>;
}

/** A group as a checkpoint's settings describe it. */
export interface GroupDescription {
  name: string;
  layers: readonly string[];
  /** Bits of a weight, by format. */
  bits: Record<string, number>;
}

/** Describes each group, with the bits of its weights in each format. */
export function describeGroups(space: QuantizationSpace): GroupDescription[] {
  const full = space.fullConfig;
  const before = space.cost(full, "effectiveBits");
  const weights = space.hyperparameters.reduce((sum, group) => sum + group.weights, 0);
  return space.hyperparameters.map((group) => {
    const bits = group.choices.map((format) => {
      const change = space.cost({ ...full, [group.name]: format }, "effectiveBits") - before;
      // The mean over all weights changes by this group's share of them.
      return [format, before + (change * weights) / group.weights];
    });
    return { name: group.name, layers: group.layers, bits: Object.fromEntries(bits) };
  });
}
