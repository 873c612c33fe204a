/** Checks of config keys. */

/** What one key accepts: `expected` completes the sentence "expected … for KEY". */
export interface ConfigRule {
  /** What error messages say was expected, such as `a number`. */
  expected: string;
  /** Whether a value will do. */
  accepts(value: unknown): boolean;
}

/** A rule that also lets null pass. */
export function orNull(rule: ConfigRule): ConfigRule {
  return { expected: `${rule.expected} or null`, accepts: (value) => value === null || rule.accepts(value) };
}

/** A rule that lets some names pass. */
export function oneOf(names: readonly string[]): ConfigRule {
  return {
    expected: `one of ${names.join(", ")}`,
    accepts: (value) => (names as readonly unknown[]).includes(value),
  };
}
