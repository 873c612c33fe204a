/** Globs over names: `layer1.*`, `*.conv[12]`, `{stem,head}`. */
import { minimatch } from "minimatch";

// `*` stands for any characters of a name, dots and slashes too: paths of modules have no folders.
const OPTIONS = { dot: true, nocomment: true, nonegate: true } as const;
const flat = (text: string): string => text.replaceAll("/", "\u2215");

/** Whether any of the texts is one of some globs. A glob that is the text itself matches it, whatever it holds. */
export function matchesGlob(texts: readonly string[], globs: readonly string[]): boolean {
  return globs.some((glob) =>
    texts.some((text) => text === glob || minimatch(flat(text), flat(glob), OPTIONS)),
  );
}
