/** Mutations of .npy, .npz and .safetensors files. */
import type { Dice } from "../dice";
import { writeZip } from "../zip";
import { otherToken } from "./json";

const TYPES = "<f4 <f8 <i8 |b1 <u8 <u2 <f2 <U5 |O >f4 <c8 <M8[ns] |S4 =f4 f4 <f16 |V8 <i1".split(" ");

const SHAPES = [
  "(16, 4)",
  "()",
  "(64,)",
  "(0, 9007199254740991)",
  "(9007199254740991,)",
  "(-1,)",
  "(1e9,)",
  "(4294967296, 4294967296)",
  "(2**64,)",
  `(${"1, ".repeat(5000)}64)`,
  "(0,)",
  "(NaN,)",
  "(16,4",
  "(0x10, 4)",
  "(1_6, 4)",
  "(0, 1099511627776, 1099511627776)",
  "(65,)",
];

/** A .npy file; `header` is Python's text of a dictionary. */
export function npy(header: string, data: Buffer, version = 1): Buffer {
  const text = Buffer.from(`${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`, "latin1");
  const head = Buffer.from([0x93, ...Buffer.from("NUMPY"), version, 0, 0, 0]);
  head.writeUInt16LE(text.length, 8);
  return Buffer.concat([head, text, data]);
}

const FLOATS = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (16, 4), }", Buffer.alloc(256, 1));
const WHOLES = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (16,), }", Buffer.alloc(128, 1));

export function mutatedNpy(dice: Dice): Buffer {
  switch (dice.below(4)) {
    case 0:
      return dice.flipped(FLOATS, 1 + dice.below(3), 0, 128);
    case 1:
      return dice.cut(FLOATS);
    default: {
      const order = dice.pick(["True", "False"]);
      const header = `{'descr': '${dice.pick(TYPES)}', 'fortran_order': ${order}, 'shape': ${dice.pick(SHAPES)}, }`;
      return npy(header, Buffer.alloc(dice.pick([0, 64, 128, 256, 512]), 1), 1 + dice.below(3));
    }
  }
}

const MEMBERS = [
  { name: "a.npy", data: FLOATS },
  { name: "b.npy", data: WHOLES },
];
const MEMBER_NAMES = [
  "../../escaped.npy",
  "__proto__.npy",
  "constructor.npy",
  "a.npy",
  "A.npy",
  "\0.npy",
  "",
  ".npy",
];

export function mutatedNpz(dice: Dice): Buffer {
  const deflated = MEMBERS.map((member) => ({ ...member, deflate: dice.below(2) === 1 }));
  switch (dice.below(7)) {
    case 0:
      return dice.flipped(writeZip(deflated), 1 + dice.below(3));
    case 1:
      return dice.cut(writeZip(deflated));
    case 2: {
      const claims = [0, 1, FLOATS.length + 1, 2 ** 32 - 2, 100 * 2 ** 30, 2 ** 52];
      return writeZip(deflated.map((member) => ({ ...member, claim: dice.pick(claims) })));
    }
    case 3:
      return writeZip([...deflated, { name: dice.pick(MEMBER_NAMES), data: FLOATS }]);
    case 4:
      return writeZip([{ name: "__proto__", data: Buffer.from("x") }, ...deflated]);
    case 5:
      return dice.spliced(writeZip(deflated));
    default:
      return writeZip([{ name: "a.npy", data: mutatedNpy(dice), deflate: dice.below(2) === 1 }]);
  }
}

/** A .safetensors file; `length` is what it claims of its header. */
export function safetensors(header: unknown, data: Buffer, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([head, json, data]);
}

/** The header of a .safetensors file, and what comes after it. */
export function takeApart(file: Buffer): { header: string; data: Buffer } {
  const length = Number(file.readBigUInt64LE(0));
  return { header: file.toString("utf8", 8, 8 + length), data: file.subarray(8 + length) };
}

const SOUND = { a: { dtype: "F32", shape: [16, 4], data_offsets: [0, 256] } };
const LENGTHS = [0n, 1n, 2n ** 63n, 2n ** 64n - 1n, 100_000_001n, 99_999_999_999n];
const HOSTILE_NAMES =
  '{"__proto__":{"polluted":1},"a":{"dtype":"F32","shape":[16,4],"data_offsets":[0,256],' +
  '"__proto__":{"dtype":"I64"}},"__metadata__":{"__proto__":{"x":"y"}}}';
const DTYPES = ["F32", "F8_E4M3", "F4", "constructor", "__proto__", "C64", "U64", "BOOL", 5];
const SIZES = [[16, 4], [], [0, 2 ** 53 - 1], [-1], [1e300], ["16", 4], [2 ** 32, 2 ** 32], null, [64]];
const OFFSETS = [[0, 256], [256, 0], [-4, 252], [0, 2 ** 53 - 1], [1, 257], [0.5, 256.5], null];

export function mutatedSafetensors(dice: Dice): Buffer {
  const data = Buffer.alloc(256, 1);
  const sound = safetensors(SOUND, data);
  switch (dice.below(8)) {
    case 0:
      return dice.flipped(sound, 1 + dice.below(3), 0, 70);
    case 1:
      return dice.cut(sound);
    case 2:
      return safetensors(SOUND, data, dice.pick(LENGTHS));
    case 3:
      return safetensors(HOSTILE_NAMES, data);
    case 4: {
      const a = { dtype: dice.pick(DTYPES), shape: dice.pick(SIZES), data_offsets: dice.pick(OFFSETS) };
      return safetensors({ a }, data);
    }
    case 5:
      return safetensors(`{"a":${"[".repeat(200_000)}`, Buffer.alloc(0));
    case 6:
      return safetensors(otherToken(JSON.stringify(SOUND), dice), data);
    default: {
      const offsets = [dice.pick([0, 128, 256]), dice.pick([256, 384, 512])];
      const b = { dtype: "F32", shape: [16, 4], data_offsets: offsets };
      return safetensors({ ...SOUND, b }, Buffer.alloc(dice.pick([256, 512]), 1));
    }
  }
}
