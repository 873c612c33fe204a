/** Mutations of exported programs. */
import { type Dice, replaced } from "../dice";
import { type FoundEntry, readZip, writeZip, type Zip } from "../zip";
import { mutatedJson } from "./json";

type Edit = (entry: FoundEntry, dice: Dice) => Buffer;

const edited = (zip: Zip, target: FoundEntry, data: Buffer): Buffer =>
  writeZip(zip.entries.map((entry) => ({ name: entry.name, data: entry === target ? data : entry.data })));

function pick(zip: Zip, dice: Dice, pattern: RegExp): FoundEntry {
  const found = zip.entries.filter(({ name }) => pattern.test(name));
  return dice.pick(found.length > 0 ? found : zip.entries);
}

/** A quoted text in JSON becomes another one of the same file: values, operators, kinds and names change places. */
const swappedText: Edit = ({ data }, dice) => {
  const text = data.toString("latin1");
  const quoted = [...text.matchAll(/"[^"\\]*"/g)];
  if (quoted.length < 2) return data;
  const target = dice.pick(quoted);
  const [other] = dice.pick(quoted);
  return replaced(data, target.index, target[0].length, Buffer.from(other, "latin1"));
};

const NUMBERS = [
  "-1",
  "0",
  "1",
  "7",
  "12",
  "99",
  "4294967296",
  "9223372036854775807",
  "9223372036854775808",
  "1e300",
  "-5",
];

const otherNumber: Edit = ({ data }, dice) => {
  const numbers = [...data.toString("latin1").matchAll(/-?\b\d+\b/g)];
  if (numbers.length === 0) return data;
  const target = dice.pick(numbers);
  return replaced(data, target.index, target[0].length, Buffer.from(dice.pick(NUMBERS)));
};

const deep: Edit = ({ data }, dice) => {
  const depth = 1 + dice.below(200_000);
  const opening = dice.pick(["[", '{"a":']);
  return Buffer.concat([Buffer.from(opening.repeat(depth)), data]);
};

const EDITS: Readonly<Record<string, readonly [RegExp, Edit]>> = {
  "swapped text of the program": [/models\/.*json$/, swappedText],
  "another number of the program": [/models\/.*json$/, otherNumber],
  "swapped text of a config": [/config\.json$/, swappedText],
  "another number of a config": [/config\.json$/, otherNumber],
  "mutated program": [/models\/.*json$/, ({ data }, dice) => mutatedJson(data, dice)],
  "mutated config": [/config\.json$/, ({ data }, dice) => mutatedJson(data, dice)],
  "flipped bits of any record": [
    /./,
    ({ data }, dice) => (data.length > 0 ? dice.flipped(data, 1 + dice.below(3)) : data),
  ],
  "flipped bits of the sample inputs": [
    /sample_inputs/,
    ({ data }, dice) => dice.flipped(data, 1 + dice.below(3)),
  ],
  "a shorter record": [/./, ({ data }, dice) => data.subarray(0, dice.below(data.length + 1))],
  "deep nesting": [/json$/, deep],
};

/** A mutated program; its checksums are right, so that what reads it gets far. */
export function mutatedExported(bytes: Buffer, dice: Dice): { bytes: Buffer; mutation: string } {
  if (dice.below(10) === 0)
    return { bytes: bytes.subarray(0, dice.below(bytes.length)), mutation: "cut off" };
  const zip = readZip(bytes);
  const mutation = dice.pick(Object.keys(EDITS));
  const [pattern, edit] = EDITS[mutation] as readonly [RegExp, Edit];
  const target = pick(zip, dice, pattern);
  return { bytes: edited(zip, target, edit(target, dice)), mutation };
}
