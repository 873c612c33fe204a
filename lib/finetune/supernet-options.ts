/** The options of supernet training: their defaults and checks. */

import { rules } from "../contract/config";
import type { SubnetConfig } from "../space/types";
import { isRecord } from "../util/check";
import { type ConfigRule, orNull } from "../util/rules";
import {
  type CompleteOptions,
  readOptions,
  TRAINING_DEFAULTS,
  TRAINING_RULES,
  type TrainingOptions,
} from "./options";

/** The options of `trainSupernet()`. `clipNorm` takes the norm of all the subnets' gradients together. */
export interface SupernetOptions extends TrainingOptions {
  /** Random subnets trained in each step, besides the largest and the smallest one; default 2. */
  randomSubnets?: number;
  /**
   * The smallest subnet to train: widths by name (the default for a width left out is its smallest choice), or a share of
   * the full widths, 0 to 1, for the smallest choices of at least that many channels (blocks may then be left out).
   * Smaller choices are not trained. Null (the default) for the space's smallest subnet.
   */
  smallest?: Readonly<SubnetConfig> | number | null;
  /** The share of the largest subnet's output in the others' loss, 0 to 1; default 1: they learn from it alone. */
  alpha?: number;
  /** `crossEntropy`: logits are divided by it for that part; default 1. */
  temperature?: number;
  /**
   * Subnets that `scoreFunc` rates, each with its own batch norm statistics; the score is their mean. Widths left out are
   * full. Null (the default) for the largest and the smallest one.
   */
  scored?: readonly Readonly<SubnetConfig>[] | null;
  /** At most this many batches for the batch norm statistics of a subnet; null for all; default 16. */
  recalibrationBatches?: number | null;
}

/** Defaults of {@link SupernetOptions}. */
export const SUPERNET_DEFAULTS: CompleteOptions<SupernetOptions> = {
  ...TRAINING_DEFAULTS,
  randomSubnets: 2,
  smallest: null,
  alpha: 1,
  temperature: 1,
  scored: null,
  recalibrationBatches: 16,
};

const SUPERNET_RULES: Record<keyof SupernetOptions, ConfigRule> = {
  ...TRAINING_RULES,
  randomSubnets: rules.nonNegativeInteger,
  smallest: {
    expected: "an object of widths by hyperparameter, a share from 0 to 1, or null",
    accepts: (value) => value === null || isRecord(value) || rules.share.accepts(value),
  },
  alpha: rules.share,
  temperature: rules.positive,
  scored: {
    expected: "an array of at least one object of widths by hyperparameter, or null",
    accepts: (value) => value === null || (Array.isArray(value) && value.length > 0 && value.every(isRecord)),
  },
  recalibrationBatches: orNull(rules.positiveInteger),
};

/** @throws `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE` */
export function readSupernetOptions(
  given: SupernetOptions | null | undefined,
): CompleteOptions<SupernetOptions> {
  return readOptions(given, SUPERNET_DEFAULTS, SUPERNET_RULES);
}
