import { TorchSearchError } from "../errors";
import { expected, isRecord } from "./check";
import { suggestion } from "./nearest";
import type { ConfigRule } from "./rules";

/**
 * Completes and checks the config of a mode. A key given as `undefined` counts as not given.
 *
 * @throws `ERR_UNKNOWN_CONFIG_KEY` naming the nearest key, `ERR_CONFIG_VALUE` saying what was expected
 */
export function completeConfig<Config extends object>(
  config: Config | null | undefined,
  defaults: Required<Config>,
  configRules: Readonly<Record<keyof Config & string, ConfigRule>>,
): Required<Config> {
  if (config !== null && config !== undefined && !isRecord(config)) {
    throw expected("ERR_CONFIG_VALUE", "an object or nothing", "config", config);
  }
  const given = Object.entries(config ?? {}).filter(([, value]) => value !== undefined);
  const known = Object.keys(defaults);
  for (const [key] of given) {
    if (known.includes(key)) continue;
    throw new TorchSearchError(
      "ERR_UNKNOWN_CONFIG_KEY",
      `unknown config key "${key}": ${suggestion(key, known)}`,
    );
  }
  const settings = { ...defaults, ...Object.fromEntries(given) } as Required<Config>;
  for (const [key, rule] of Object.entries<ConfigRule>(configRules)) {
    const value: unknown = settings[key as keyof Config];
    if (!rule.accepts(value)) throw expected("ERR_CONFIG_VALUE", rule.expected, key, value);
  }
  return settings;
}
