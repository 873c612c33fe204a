/** Mutations of JSON texts. */
import type { Dice } from "../dice";
import { JSON_VALUES } from "./values";

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|true|false|null/g;

/** The text with one of its tokens replaced, its end cut off, or some bytes changed. */
export function mutatedJson(base: Buffer, dice: Dice): Buffer {
  switch (dice.below(6)) {
    case 0:
      return dice.cut(base);
    case 1:
      return dice.flipped(base, 1 + dice.below(3));
    case 2:
      return Buffer.from(dice.pick(JSON_VALUES));
    default:
      return Buffer.from(otherToken(base.toString("utf8"), dice));
  }
}

/** The text with one token, which may be a key, replaced. */
export function otherToken(text: string, dice: Dice): string {
  const tokens = [...text.matchAll(TOKEN)];
  if (tokens.length === 0) return dice.pick(JSON_VALUES);
  const { index, 0: old } = dice.pick(tokens);
  const other = dice.below(4) === 0 ? dice.pick(tokens)[0] : dice.pick(JSON_VALUES);
  return text.slice(0, index) + other + text.slice(index + old.length);
}
