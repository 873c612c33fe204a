/** Globs over names: `layer1.*`, `*.conv[12]`, `{stem,head}`, `block{1..3}`. A `*` stands for any characters, dots too. */
import { GlobPattern } from "./glob-pattern";

/** The longest glob; a longer one is the text itself or nothing. */
export const LONGEST_GLOB = 1000;

/** What was compared last, since a glob meets many names. */
const patterns = new Map<string, GlobPattern>();
const KEPT = 100;

function patternOf(glob: string): GlobPattern {
  let pattern = patterns.get(glob);
  if (pattern === undefined) {
    pattern = new GlobPattern(glob);
    if (patterns.size >= KEPT) patterns.clear();
    patterns.set(glob, pattern);
  }
  return pattern;
}

/** Whether any of the texts is one of some globs. A glob that is the text itself matches it, whatever it holds. */
export function matchesGlob(texts: readonly string[], globs: readonly string[]): boolean {
  return globs.some((glob) =>
    texts.some((text) => text === glob || (glob.length <= LONGEST_GLOB && patternOf(glob).matches(text))),
  );
}
