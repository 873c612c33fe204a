/**
 * Globs as steps over sets of positions in a text: each step is taken once, from all positions together, so that no glob
 * takes longer than its length times the text's. Regular expressions made of globs try positions one after the other,
 * which takes for ever with some.
 */

/** One step: what it passes over. */
type Step =
  | { kind: "one"; fits: (character: string) => boolean }
  | { kind: "any" }
  | { kind: "either"; options: readonly (readonly Step[])[] }
  /** A whole number, written with at least so many digits. */
  | { kind: "number"; least: number; most: number; digits: number };

/** Whether the position with each index can be reached. */
type Positions = Uint8Array;

/** A glob that is ready to be compared. */
export class GlobPattern {
  readonly #steps: readonly Step[];

  constructor(glob: string) {
    this.#steps = parse(Array.from(glob));
  }

  /** Whether it stands for the whole of a text. */
  matches(text: string): boolean {
    const characters = Array.from(text);
    const start = new Uint8Array(characters.length + 1);
    start[0] = 1;
    // An empty text has no characters that a wildcard could stand for.
    if (characters.length === 0) return this.#steps.length === 0;
    return walk(this.#steps, characters, start)[characters.length] === 1;
  }
}

function walk(steps: readonly Step[], text: readonly string[], from: Positions): Positions {
  let reached = from;
  for (const step of steps) {
    if (!reached.includes(1)) return reached;
    reached = pass(step, text, reached);
  }
  return reached;
}

function pass(step: Step, text: readonly string[], from: Positions): Positions {
  const to = new Uint8Array(from.length);
  switch (step.kind) {
    case "one":
      for (let at = 0; at < text.length; at++)
        if (from[at] === 1 && step.fits(text[at] as string)) to[at + 1] = 1;
      return to;
    case "any":
      return to.fill(1, from.indexOf(1));
    case "either":
      for (const option of step.options)
        walk(option, text, from).forEach((reached, at) => {
          if (reached === 1) to[at] = 1;
        });
      return to;
    case "number":
      for (let at = 0; at < text.length; at++)
        if (from[at] === 1) for (const end of numbersFrom(text, at, step)) to[end] = 1;
      return to;
  }
}

/** Digits of the largest number of a range. */
const DIGITS = 15;

/** Where numbers of a range that begin at a position end. */
function numbersFrom(
  text: readonly string[],
  at: number,
  { least, most, digits }: Extract<Step, { kind: "number" }>,
): number[] {
  const ends: number[] = [];
  const sign = text[at] === "-" ? 1 : 0;
  for (let end = at + sign + 1; end <= Math.min(text.length, at + sign + DIGITS); end++) {
    const written = text.slice(at, end).join("");
    if (!/^-?\d+$/.test(written)) break;
    const value = Number(written);
    const expected = `${value < 0 ? "-" : ""}${String(Math.abs(value)).padStart(digits - (value < 0 ? 1 : 0), "0")}`;
    if (written === expected && value >= least && value <= most) ends.push(end);
  }
  return ends;
}

const exactly = (wanted: string): Step => ({ kind: "one", fits: (character) => character === wanted });

function parse(glob: readonly string[]): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at] as string;
    if (character === "\\" && at + 1 < glob.length) {
      at += 1;
      steps.push(exactly(glob[at] as string));
    } else if (character === "*") {
      if (steps.at(-1)?.kind !== "any") steps.push({ kind: "any" });
    } else if (character === "?") {
      steps.push({ kind: "one", fits: () => true });
    } else {
      const group = character === "[" ? readClass(glob, at) : character === "{" ? readBraces(glob, at) : null;
      steps.push(group?.step ?? exactly(character));
      at = group?.end ?? at;
    }
  }
  return steps;
}

/** A step, and where the last of its characters is. */
interface Group {
  step: Step;
  end: number;
}

/** `[ab]`, `[a-c]`, `[!a]` or `[^a]`; null where the bracket stands for itself. */
function readClass(glob: readonly string[], start: number): Group | null {
  let at = start + 1;
  const negated = glob[at] === "!" || glob[at] === "^";
  if (negated) at += 1;
  const ranges: [first: number, last: number][] = [];
  const code = (index: number): number => (glob[index] as string).codePointAt(0) as number;
  for (const first = at; at < glob.length; at++) {
    if (glob[at] === "]" && at > first) {
      const fits = (character: string): boolean => {
        const point = character.codePointAt(0) as number;
        return ranges.some(([least, most]) => point >= least && point <= most) !== negated;
      };
      return { step: { kind: "one", fits }, end: at };
    }
    if (glob[at] === "\\" && at + 1 < glob.length) at += 1;
    if (glob[at + 1] === "-" && at + 2 < glob.length && glob[at + 2] !== "]") {
      ranges.push([code(at), code(at + 2)]);
      at += 2;
    } else ranges.push([code(at), code(at)]);
  }
  return null;
}

/** `{a,b}`, `{1..3}` or `{a..c}`; null where the brace stands for itself. */
function readBraces(glob: readonly string[], start: number): Group | null {
  const options: string[][] = [[]];
  let depth = 0;
  for (let at = start; at < glob.length; at++) {
    const character = glob[at] as string;
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    if (depth === 0) {
      if (options.length > 1) return { step: { kind: "either", options: options.map(parse) }, end: at };
      const range = readRange((options[0] as string[]).join(""));
      return range === null ? null : { step: range, end: at };
    }
    if (character === "," && depth === 1) {
      options.push([]);
      continue;
    }
    const option = options.at(-1) as string[];
    if (at > start) option.push(character);
    if (character === "\\" && at + 1 < glob.length) {
      at += 1;
      option.push(glob[at] as string);
    }
  }
  return null;
}

function readRange(text: string): Step | null {
  const letters = /^([A-Za-z])\.\.([A-Za-z])$/.exec(text);
  if (letters !== null) {
    const [least, most] = [letters[1] as string, letters[2] as string].sort() as [string, string];
    return { kind: "one", fits: (character) => character >= least && character <= most };
  }
  const numbers = /^(-?\d{1,14})\.\.(-?\d{1,14})$/.exec(text);
  if (numbers === null) return null;
  const written = [numbers[1] as string, numbers[2] as string];
  const [least, most] = written.map(Number).sort((a, b) => a - b) as [number, number];
  const padded = written.some((number) => /^-?0\d/.test(number));
  return {
    kind: "number",
    least,
    most,
    digits: padded ? Math.max(...written.map(({ length }) => length)) : 1,
  };
}
