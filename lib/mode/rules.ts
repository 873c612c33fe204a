import type { ConfigRule } from "../searcher/config";

/** One of some names. */
export function oneOf(names: readonly string[]): ConfigRule {
  return {
    expected: `one of ${names.join(", ")}`,
    accepts: (value) => (names as readonly unknown[]).includes(value),
  };
}
