import type { ConfigRule } from "../util/rules";

/** The weights that may stay: n of each m neighbours along a layer's inputs, or any (null). */
export type SparsityPattern = { readonly n: number; readonly m: number } | null;

const STRUCTURED = /^([1-9]\d?):([1-9]\d?)$/;

/** `"unstructured"`, or `"N:M"` with N below M. */
export const patternRule: ConfigRule = {
  expected: '"unstructured" or a pattern such as "2:4", at most 64 wide',
  accepts: (value) => {
    if (value === "unstructured") return true;
    const match = typeof value === "string" ? STRUCTURED.exec(value) : null;
    return match !== null && Number(match[1]) < Number(match[2]) && Number(match[2]) <= 64;
  },
};

/** @param text as {@link patternRule} has it */
export function parsePattern(text: string): SparsityPattern {
  const match = STRUCTURED.exec(text);
  return match === null ? null : { n: Number(match[1]), m: Number(match[2]) };
}
