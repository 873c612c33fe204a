/** Deeper than any file that torchsearch reads has a reason to be. */
export const MAX_JSON_DEPTH = 200;

/**
 * How deep a JSON text nests arrays and objects. `JSON.parse` reads any depth; `JSON.stringify` and whatever else walks
 * the value by calling itself doesn't.
 */
export function jsonDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === "\\") at += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "[" || character === "{") deepest = Math.max(deepest, ++depth);
    else if (character === "]" || character === "}") depth -= 1;
  }
  return deepest;
}
