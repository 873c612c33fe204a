/** Checks of config keys. */
import { describe, expected, isFunction, isPositiveInteger, isRecord } from "./check";
import { nearest } from "./nearest";
import { renamed } from "./renamed";

/** The values that one key accepts: `expected` completes the sentence "expected … for KEY". */
export interface ConfigRule {
  /** What error messages say was expected, such as `a number`. */
  expected: string;
  /** Whether the value is accepted. */
  accepts(value: unknown): boolean;
  /** How to correct a refused value, such as `did you mean "l1"?`; null (or no such function) for no advice. */
  remedy?(value: unknown): string | null;
}

/** Rules for values that any config may hold. */
export const plainRules = {
  boolean: { expected: "true or false", accepts: (value) => typeof value === "boolean" },
  number: { expected: "a finite number", accepts: (value) => Number.isFinite(value) },
  string: { expected: "a string", accepts: (value) => typeof value === "string" },
  text: { expected: "a non-empty string", accepts: (value) => typeof value === "string" && value.length > 0 },
  path: {
    expected: "a non-empty file path",
    accepts: (value) => typeof value === "string" && value.length > 0,
  },
  record: { expected: "an object", accepts: isRecord },
  func: { expected: "a function", accepts: isFunction },
  integer: { expected: "a whole number", accepts: Number.isSafeInteger },
  positiveInteger: { expected: "a whole number of at least 1", accepts: isPositiveInteger },
  nonNegativeInteger: {
    expected: "a whole number of at least 0",
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  },
  positive: {
    expected: "a finite number above 0",
    accepts: (value) => Number.isFinite(value) && (value as number) > 0,
  },
  nonNegative: {
    expected: "a number of at least 0",
    accepts: (value) => Number.isFinite(value) && (value as number) >= 0,
  },
  share: {
    expected: "a number from 0 to 1",
    accepts: (value) => typeof value === "number" && value >= 0 && value <= 1,
  },
  signal: { expected: "an AbortSignal", accepts: (value) => value instanceof AbortSignal },
} satisfies Record<string, ConfigRule>;

/** A rule that also accepts null. */
export function orNull(rule: ConfigRule): ConfigRule {
  if (typeof rule?.accepts !== "function") throw expected("ERR_ARGUMENT", "a rule", "rule", rule);
  return {
    expected: `${rule.expected} or null`,
    accepts: (value) => value === null || rule.accepts(value),
    remedy: (value) => rule.remedy?.(value) ?? null,
  };
}

/** A rule that accepts some names. */
export function oneOf(names: readonly string[]): ConfigRule {
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string"))
    throw expected("ERR_ARGUMENT", "an array of names", "names", names);
  return {
    expected: `one of ${names.join(", ")}`,
    accepts: (value) => (names as readonly unknown[]).includes(value),
    remedy: (value) => {
      if (typeof value !== "string") return null;
      const near = nearest(value, names);
      return renamed(value, names) ?? (near === null ? null : `did you mean "${near}"?`);
    },
  };
}

/** A rule that accepts lists of some names. */
export function listOf(names: readonly string[]): ConfigRule {
  const each = oneOf(names);
  const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
  return {
    expected: `a list with any of ${names.join(", ")}`,
    accepts: (value) => isList(value) && value.every((item) => each.accepts(item)),
    remedy: (value) => {
      const wrong = isList(value) ? value.find((item) => !each.accepts(item)) : undefined;
      if (wrong === undefined) return null;
      return each.remedy?.(wrong) ?? `it holds ${describe(wrong)}`;
    },
  };
}

/** The message for a value that a rule refuses: "expected X for KEY but received Z", and the rule's remedy. */
export function refusal(rule: ConfigRule, key: string, value: unknown, show = describe): string {
  const remedy = rule.remedy?.(value) ?? null;
  const message = `expected ${rule.expected} for ${key} but received ${show(value)}`;
  return remedy === null ? message : `${message}; ${remedy}`;
}
