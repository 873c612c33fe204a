/** Twenty kinds of mutations of TorchScript archives. */
import { type Dice, replaced } from "../dice";
import { DEEP, NUMBER_OPS, opsOf, pickledNumber, pickledText } from "../pickle";
import { type FoundEntry, readZip, writeZip, type Zip, type ZipEntry } from "../zip";
import { mutatedCode } from "./code";
import { EXTREMES } from "./values";

type Mutation = (bytes: Buffer, zip: Zip, dice: Dice) => Buffer;

const CODE = /code\/.*\.py$/;
const PICKLE = /\/data\.pkl$/;
const DATA = /\/data\/\d+$/;
const CONSTANTS = /constants\.pkl$/;
const DEBUG = /debug_pkl$/;
const HISTORY = /torchsearch_history\.json$/;

const STORAGES = (
  "FloatStorage DoubleStorage LongStorage HalfStorage BoolStorage QInt8Storage QUInt8Storage QInt32Storage " +
  "ComplexDoubleStorage ByteStorage ShortStorage BFloat16Storage QUInt4x2Storage NoSuchStorage"
).split(" ");

const NAMES = [
  "../../../../escaped",
  "a\0b",
  "a\nb",
  "",
  "x".repeat(60_000),
  "code/../data.pkl",
  "DATA.PKL",
  "data.pkl/",
  ".",
  "..",
  "\xff\xfe",
  "extra/\x1b[31m",
  "extra/__proto__",
  "extra/torchsearch_history.json",
];

/** Opcodes that take what is on the stack, or the memo. */
const STRAY_OPS = Buffer.concat([
  Buffer.from("()]}Rtb.sueaQdN0"),
  Buffer.from([0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x93, 0x94, 0x91]),
]);

function find(zip: Zip, dice: Dice, ...patterns: RegExp[]): FoundEntry {
  for (const pattern of patterns) {
    const found = zip.entries.filter(({ name, data }) => pattern.test(name) && data.length > 0);
    if (found.length > 0) return dice.pick(found);
  }
  return dice.pick(zip.entries);
}

/** The archive with other bytes in one entry, and right checksums. */
function edited(zip: Zip, target: ZipEntry, data: Buffer): Buffer {
  return writeZip(
    zip.entries.map((entry) => ({ name: entry.name, data: entry === target ? data : entry.data })),
  );
}

/** Flips bits of one entry; the checksum is right again. */
const flips =
  (count: (dice: Dice) => number, ...patterns: RegExp[]): Mutation =>
  (_, zip, dice) => {
    const entry = find(zip, dice, ...patterns);
    return edited(zip, entry, dice.flipped(entry.data, count(dice)));
  };

const aFew = (dice: Dice): number => 1 + dice.below(2);

/** Replaces an opcode by something else, in `data.pkl` or, now and then, in `constants.pkl`. */
function pickleEdit(edit: (pickle: Buffer, dice: Dice) => Buffer): Mutation {
  return (_, zip, dice) => {
    const entry = dice.below(7) === 0 ? find(zip, dice, CONSTANTS, PICKLE) : find(zip, dice, PICKLE);
    return edited(zip, entry, edit(entry.data, dice));
  };
}

function otherNumbers(pickle: Buffer, dice: Dice): Buffer {
  let changed = pickle;
  for (let times = 1 + dice.below(3); times > 0; times--) {
    const numbers = opsOf(changed).filter(({ op }) => NUMBER_OPS.includes(op));
    if (numbers.length === 0) break;
    const { at, length } = dice.pick(numbers);
    const value = dice.below(3) === 0 ? dice.below(100) - 10 : dice.pick(EXTREMES);
    changed = replaced(changed, at, length, pickledNumber(value));
  }
  return changed;
}

function otherStorage(pickle: Buffer, dice: Dice): Buffer {
  const classes = opsOf(pickle).filter(
    ({ op, at, length }) => op === "c" && /Storage/.test(pickle.toString("latin1", at, at + length)),
  );
  if (classes.length === 0) return dice.flipped(pickle, 1);
  const { at, length } = dice.pick(classes);
  return replaced(pickle, at, length, Buffer.from(`ctorch\n${dice.pick(STORAGES)}\n`));
}

function otherText(pickle: Buffer, dice: Dice): Buffer {
  const texts = opsOf(pickle).filter(({ op }) => op === "X");
  if (texts.length === 0) return dice.flipped(pickle, 1);
  const { at, length } = dice.pick(texts);
  const text = dice.below(3) === 0 ? dice.pick(NAMES) : String(dice.below(12));
  return replaced(pickle, at, length, pickledText(Buffer.from(text, "latin1")));
}

function otherOps(pickle: Buffer, dice: Dice): Buffer {
  const ops = opsOf(pickle);
  const { at, length } = dice.pick(ops);
  const other = dice.pick(ops);
  switch (dice.below(5)) {
    case 0:
      return replaced(pickle, at, length, Buffer.alloc(0));
    case 1:
      return replaced(pickle, at, 0, pickle.subarray(at, at + length));
    case 2:
      return replaced(pickle, at, 0, Buffer.from([dice.pick([...STRAY_OPS])]));
    case 3:
      return replaced(pickle, at, length, pickle.subarray(other.at, other.at + other.length));
    default:
      return replaced(pickle, at, 0, Buffer.from([0x68, dice.below(256)]));
  }
}

function otherLength(_: Buffer, zip: Zip, dice: Dice): Buffer {
  const entry = find(zip, dice, DATA, CONSTANTS);
  const { length } = entry.data;
  const size = dice.pick([0, 1, 3, length - 1, length >> 1, length + 1, length * 2]);
  const grown = Buffer.concat([entry.data, Buffer.alloc(Math.max(0, size - length))]);
  return edited(zip, entry, grown.subarray(0, size));
}

function otherNames(_: Buffer, zip: Zip, dice: Dice): Buffer {
  const entries = zip.entries.map(({ name, data }) => ({ name, data }));
  const [root] = (entries[0] as ZipEntry).name.split("/");
  const one = dice.pick(entries);
  const two = dice.pick(entries);
  switch (dice.below(5)) {
    case 0:
      entries.splice(dice.below(entries.length), 0, { ...one });
      break;
    case 1:
      entries.push({ name: `${root}/${dice.pick(NAMES)}`, data: Buffer.from("x") });
      break;
    case 2:
      one.name = dice.pick(NAMES);
      break;
    case 3:
      one.name = one.name.toUpperCase();
      break;
    default:
      [one.name, two.name] = [two.name, one.name];
  }
  return writeZip(entries);
}

function otherSizes(_: Buffer, zip: Zip, dice: Dice): Buffer {
  const liar = dice.pick(zip.entries);
  const claims = [0, 1, liar.data.length + 1, 2 ** 32 - 1, 100 * 2 ** 30, 2 ** 52];
  const claim = dice.pick(claims);
  return writeZip(
    zip.entries.map((entry) => ({
      name: entry.name,
      data: entry.data,
      deflate: dice.below(2) === 1,
      ...(entry === liar && { claim }),
    })),
  );
}

/** By name, with their shares of a run. */
export const MODEL_MUTATIONS: Readonly<Record<string, { share: number; mutate: Mutation }>> = {
  directory: { share: 9, mutate: (b, zip, dice) => dice.flipped(b, 1 + dice.below(3), zip.directory) },
  "local header": {
    share: 2,
    mutate: (b, zip, dice) => {
      const { local } = dice.pick(zip.entries);
      return dice.flipped(b, aFew(dice), local, local + 30);
    },
  },
  "raw bytes": {
    share: 3,
    mutate: (b, zip, dice) => {
      const { at, stored } = dice.pick(zip.entries.filter((entry) => entry.stored > 0));
      return dice.flipped(b, 2, at, at + stored);
    },
  },
  "code bits": { share: 10, mutate: flips(aFew, CODE) },
  "pickle bits": { share: 14, mutate: flips(aFew, PICKLE) },
  "constants bits": { share: 2, mutate: flips(aFew, CONSTANTS) },
  "tensor bits": { share: 2, mutate: flips(() => 4, DATA, CONSTANTS) },
  "debug bits": { share: 1, mutate: flips(() => 3, DEBUG) },
  truncated: { share: 4, mutate: (b, _, dice) => dice.cut(b) },
  spliced: { share: 3, mutate: (b, _, dice) => dice.spliced(b) },
  "pickle numbers": { share: 10, mutate: pickleEdit(otherNumbers) },
  "pickle storage": { share: 3, mutate: pickleEdit(otherStorage) },
  "pickle text": { share: 3, mutate: pickleEdit(otherText) },
  "pickle opcodes": { share: 7, mutate: pickleEdit(otherOps) },
  "pickle depth": {
    share: 1,
    mutate: pickleEdit((_, dice) => dice.pick(DEEP)(dice.pick([1e4, 1e5, 1e6]))),
  },
  "record length": { share: 4, mutate: otherLength },
  code: {
    share: 12,
    mutate: (_, zip, dice) => {
      const entry = find(zip, dice, CODE);
      return edited(zip, entry, Buffer.from(mutatedCode(entry.data.toString("latin1"), dice), "latin1"));
    },
  },
  names: { share: 4, mutate: otherNames },
  sizes: { share: 2, mutate: otherSizes },
  appended: {
    share: 1,
    mutate: (b, _, dice) => Buffer.concat([b, dice.pick([b, Buffer.from("x"), b.subarray(b.length - 22)])]),
  },
};

/** The archive with another history, which the library itself writes and reads. */
export function withHistory(bytes: Buffer, change: (history: Buffer) => Buffer): Buffer {
  const zip = readZip(bytes);
  const entry = zip.entries.find(({ name }) => HISTORY.test(name));
  if (entry === undefined) throw new Error("the model has no history");
  return edited(zip, entry, change(entry.data));
}

/** A mutated model, and what was done to it. */
export function mutatedModel(base: Buffer, dice: Dice): { bytes: Buffer; mutation: string } {
  const tickets = Object.entries(MODEL_MUTATIONS).flatMap(([name, { share }]) =>
    Array<string>(share).fill(name),
  );
  const mutation = dice.pick(tickets);
  const bytes = (MODEL_MUTATIONS[mutation] as { mutate: Mutation }).mutate(base, readZip(base), dice);
  return { bytes, mutation };
}
