/** What a searcher proposes, made complete, so that a recorded candidate is the one that was measured. */
import { TorchSearchError } from "../errors";
import { describe, isRecord } from "../util/check";
import type { Hyperparameter, SubnetConfig } from "./types";

/** What completing a config needs of a space. */
interface CompletedSpace {
  readonly hyperparameters: readonly Pick<Hyperparameter, "name" | "choices">[];
}

/**
 * A subnet's config with a value for every hyperparameter: what it doesn't name stays as in the full model (or as
 * near as the config's `maxWidth` allows), whatever was selected before.
 *
 * @param what the thing that gave it, for messages
 * @throws `ERR_PROPOSAL` for anything but a record
 */
export function completedConfig(
  space: CompletedSpace,
  config: Readonly<SubnetConfig>,
  what = "the subnet's config",
): SubnetConfig {
  if (!isRecord(config)) {
    const waiting = (config as unknown) instanceof Promise ? " (await it first)" : "";
    throw new TorchSearchError(
      "ERR_PROPOSAL",
      `expected an object of widths by hyperparameter for ${what} but received ${describe(config)}${waiting}; ` +
        "give one, such as space.sample(random)",
    );
  }
  if (isComplete(space, config)) return config;
  const named = Object.entries(config).filter(([, value]) => value !== undefined);
  const whole = space.hyperparameters.map(({ name, choices }) => [name, choices.at(-1)]);
  return { ...Object.fromEntries(whole), ...Object.fromEntries(named) };
}

/** Whether a config names every hyperparameter. */
export function isComplete({ hyperparameters }: CompletedSpace, config: Readonly<SubnetConfig>): boolean {
  return hyperparameters.every(({ name }) => config[name] !== undefined);
}
