/** Pickles as a row of opcodes (https://github.com/python/cpython/blob/main/Lib/pickletools.py), and pieces of them. */

/** An opcode with its argument. */
export interface PickleOp {
  /** The opcode's byte, as a Latin-1 character. */
  op: string;
  at: number;
  length: number;
}

export const NUMBER_OPS = "KMJ\x8a";

/** Opcodes with an argument of a fixed length; the length includes the opcode. */
const FIXED: Readonly<Record<string, number>> = {
  "\x80": 2,
  q: 2,
  h: 2,
  K: 2,
  M: 3,
  J: 5,
  r: 5,
  j: 5,
  G: 9,
};

/** Opcodes until the end of the pickle. Those that PyTorch doesn't write are taken to have no argument. */
export function opsOf(pickle: Buffer): PickleOp[] {
  const ops: PickleOp[] = [];
  const lineEnd = (from: number): number => {
    const end = pickle.indexOf(0x0a, from);
    return end < 0 ? pickle.length : end + 1;
  };
  for (let at = 0; at < pickle.length; ) {
    const op = String.fromCharCode(pickle[at] as number);
    let length = FIXED[op] ?? 1;
    if (op === "c") length = lineEnd(lineEnd(at + 1)) - at;
    if (op === "\x8a" || op === "\x8c" || op === "U") length = 2 + (pickle[at + 1] ?? 0);
    if (op === "X") length = 5 + (at + 5 <= pickle.length ? pickle.readUInt32LE(at + 1) : 0);
    ops.push({ op, at, length });
    at += length;
    if (op === ".") break;
  }
  return ops;
}

export function pickledNumber(value: number): Buffer {
  const bytes = Buffer.from([0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}

export function pickledText(text: Buffer): Buffer {
  const head = Buffer.from([0x58, 0, 0, 0, 0]);
  head.writeUInt32LE(text.length, 1);
  return Buffer.concat([head, text]);
}

const STOP = Buffer.from(".");

/** Pickles that nest `depth` deep. */
export const DEEP: readonly ((depth: number) => Buffer)[] = [
  (depth) =>
    Buffer.concat([Buffer.from([0x80, 2]), Buffer.alloc(depth, "("), Buffer.alloc(depth, "t"), STOP]),
  (depth) =>
    Buffer.concat([Buffer.from([0x80, 2]), Buffer.alloc(depth, "]"), Buffer.alloc(depth - 1, "a"), STOP]),
  (depth) => Buffer.concat([Buffer.from([0x80, 2, 0x4e]), Buffer.alloc(depth, 0x85), STOP]),
];
