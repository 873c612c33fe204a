/** The one way to check a config and to complete it with defaults. */
import { TorchSearchError } from "../errors";
import { describe, isRecord } from "./check";
import { suggestion } from "./nearest";
import { type ConfigRule, plainRules, refusal } from "./rules";

/** How a kind of config is called in messages, and the error it is refused with. */
export interface ConfigWords {
  /** What the config as a whole is called; default `config`. */
  whole?: string;
  /** What one of its keys is called; default `config key`. */
  key?: string;
  /** Text before each key in messages, such as `images.`; default none. */
  prefix?: string;
  /** Shows a refused value in messages; default {@link describe}, which also names its type. */
  show?(value: unknown): string;
  /** Makes the error; by default a `TorchSearchError` with that code and message. */
  error?(code: "ERR_CONFIG_VALUE" | "ERR_UNKNOWN_CONFIG_KEY", message: string): TorchSearchError;
}

/** A rule for each key that exists; null for a key that accepts any value. */
export type ConfigRules = Readonly<Record<string, ConfigRule | null>>;

/**
 * Checks the keys that were given, and returns them. A key given as `undefined` counts as not given.
 *
 * @throws `ERR_UNKNOWN_CONFIG_KEY` naming the present or the nearest name, `ERR_CONFIG_VALUE` saying what was expected
 */
export function checkConfig(
  config: unknown,
  rules: ConfigRules,
  words: ConfigWords = {},
): Record<string, unknown> {
  const { whole = "config", key: noun = "config key", prefix = "" } = words;
  const error = makeError(words);
  if (config === null || config === undefined) return {};
  if (!isRecord(config)) {
    throw error(
      "ERR_CONFIG_VALUE",
      `expected an object or nothing for ${whole} but received ${describe(config)}`,
    );
  }
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    if (value === undefined) continue;
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined) {
      const remedy = suggestion(key, Object.keys(rules));
      throw error("ERR_UNKNOWN_CONFIG_KEY", `unknown ${noun} "${prefix}${key}": ${remedy}`);
    }
    if (rule?.accepts(value) === false) {
      throw error("ERR_CONFIG_VALUE", refusal(rule, prefix + key, value, words.show));
    }
    given[key] = value;
  }
  return given;
}

/**
 * Checks a config and completes it with defaults. A key given as `undefined` counts as not given.
 *
 * @param config what the user gave, or null for nothing
 * @param defaults all keys that exist, with their defaults. A default that its rule refuses makes the key required.
 * @param rules what the keys accept. A key without a rule must have its default's type, when that default is a
 *   boolean, number or string; otherwise it accepts anything.
 * @throws `ERR_UNKNOWN_CONFIG_KEY` naming the present or the nearest name, `ERR_CONFIG_VALUE` saying what was expected
 */
export function completeConfig<Config extends object>(
  config: Partial<Config> | null | undefined,
  defaults: Config,
  rules: Readonly<Record<string, ConfigRule>>,
  words: ConfigWords = {},
): Config {
  const complete: ConfigRules = Object.fromEntries(
    Object.entries(defaults).map(([key, value]) => [
      key,
      Object.hasOwn(rules, key) ? (rules[key] as ConfigRule) : ruleOfType(value),
    ]),
  );
  const given = checkConfig(config, complete, words);
  for (const [key, rule] of Object.entries(complete)) {
    const value: unknown = defaults[key as keyof Config];
    if (rule === null || Object.hasOwn(given, key) || rule.accepts(value)) continue;
    throw makeError(words)("ERR_CONFIG_VALUE", refusal(rule, (words.prefix ?? "") + key, value, words.show));
  }
  return { ...defaults, ...given };
}

function makeError(words: ConfigWords): Required<ConfigWords>["error"] {
  return words.error ?? ((code, message) => new TorchSearchError(code, message));
}

function ruleOfType(value: unknown): ConfigRule | null {
  if (typeof value === "boolean") return plainRules.boolean;
  if (typeof value === "number") return plainRules.number;
  if (typeof value === "string") return plainRules.string;
  return null;
}
