import { Minimatch } from "minimatch";
import { describe, expect, it } from "vitest";

import { matchesGlob } from "../../lib/util/globs";
import { Dice } from "../fuzz/dice";

/** Pieces of globs, and of texts that they may stand for. */
const PIECES = [
  "a",
  "b",
  "1",
  ".",
  "*",
  "?",
  "[ab]",
  "[!a]",
  "[^1.]",
  "[a-b1]",
  "\\*",
  "{1..3}",
  "{a..c}",
  "{01..12}",
];
const TEXTS = ["a", "b", "c", "1", "2", "03", "12", ".", "*", "ab", "é"];

/** Three pieces, of which one may be a choice: minimatch makes a regular expression of each combination. */
function someGlob(dice: Dice, depth = 0): string {
  const choice = dice.below(4);
  return Array.from({ length: 1 + dice.below(3) }, (_, at) =>
    depth < 2 && at === choice
      ? `{${someGlob(dice, depth + 1)},${someGlob(dice, depth + 1)}}`
      : dice.pick(PIECES),
  ).join("");
}

describe("globs over names", () => {
  it("match as minimatch's do", () => {
    let matches = 0;
    for (let seed = 1; seed <= 800; seed++) {
      const dice = new Dice(seed);
      const glob = someGlob(dice);
      const reference = new Minimatch(glob, { dot: true, nocomment: true, nonegate: true, noext: true });
      for (let i = 0; i < 5; i++) {
        const text = Array.from({ length: 1 + dice.below(4) }, () => dice.pick(TEXTS)).join("");
        // Paths of files have these two, which no wildcard stands for; names of layers don't.
        if (/^\.{1,2}$/.test(text)) continue;
        const wanted = reference.match(text);
        expect([seed, glob, text, matchesGlob([text], [glob])]).toEqual([seed, glob, text, wanted]);
        if (wanted) matches += 1;
      }
    }
    expect(matches).toBeGreaterThan(200);
  });

  it.each([
    ["layer1.*", "layer1.0.conv", true],
    ["*", "a/b", true],
    ["*", "", false],
    ["[", "[", true],
    ["{a", "{a", true],
    ["{a}", "{a}", true],
    ["a{,.b}", "a", true],
    ["{a\\,b,c}", "a,b", true],
    ["{3..1}", "2", true],
    ["{1..3}", "02", false],
    ["{-2..2}", "-1", true],
    ["[]a]", "]", true],
    ["[b-a]", "a", false],
    ["a\\", "a\\", true],
    ["a?b", "a😀b", true],
  ])("%s and %s: %s", (glob, text, wanted) => {
    expect(matchesGlob([text], [glob])).toBe(wanted);
  });

  // Each takes minimatch or its regular expressions seconds, or for ever.
  it.each([
    "*".repeat(50),
    "*?".repeat(400),
    `${"*?".repeat(40)}b`,
    `${"[a-z]*".repeat(150)}9`,
    `${"*a".repeat(400)}b`,
    "{a,b}".repeat(200),
    `${"{".repeat(200)}a${",b}".repeat(200)}`,
    "{1..99999999999999}",
    `${"+(a|aa|aaa)".repeat(10)}b`,
    `${"!(a)".repeat(10)}x`,
    "{".repeat(1000),
    "[".repeat(1000),
    "*".repeat(100_000),
  ])("%# ends", { timeout: 20_000 }, (glob) => {
    for (const text of ["a".repeat(1000), "layer1.0.conv.".repeat(80)])
      for (let again = 0; again < 3; again++) matchesGlob([text], [glob]);
  });

  it("too long a glob is the text itself or nothing", () => {
    const long = "*".repeat(1001);
    expect([matchesGlob([long], [long]), matchesGlob(["a"], [long])]).toEqual([true, false]);
  });
});
