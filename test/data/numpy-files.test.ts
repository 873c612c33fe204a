import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeNpy } from "../../lib/data/npy";
import { decodeNpz } from "../../lib/data/npz";
import { runPython } from "./python";

interface Expected {
  file: string;
  dtype: string;
  shape: number[];
  hex: string;
}

let folder: string;
let good: Expected[];
let bad: Record<string, string>;

/** NumPy writes the files, and says which bytes a row-major little-endian tensor has to have. */
const WRITE = `
import json, sys, os, numpy as np
folder = sys.argv[1]
rng = np.random.default_rng(0)
good, bad = [], {}
widened = {"uint16": "int32", "uint32": "int64"}
names = {"bool": "BOOL", "int8": "I8", "uint8": "U8", "int16": "I16", "int32": "I32", "int64": "I64", "uint64": "U64",
         "float16": "F16", "float32": "F32", "float64": "F64"}
for dtype in ["bool", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "float32", "float64"]:
    for shape in [(), (3,), (2, 3), (2, 3, 4), (0, 5), (1, 1, 1, 1)]:
        for order in "CF":
            a = np.asarray(rng.integers(0, 256, size=shape, dtype=np.int64).astype(dtype), order=order)
            if dtype in ("uint16", "uint32", "uint64"): a = np.asarray(np.iinfo(dtype).max - a, order=order, dtype=dtype)
            file = os.path.join(folder, f"{dtype}-{'x'.join(map(str, shape))}-{order}.npy")
            np.save(file, a)
            t = np.ascontiguousarray(a).astype(widened.get(dtype, dtype)).reshape(shape)
            good.append({"file": file, "dtype": names[str(t.dtype)], "shape": list(shape), "hex": t.tobytes().hex()})
a = np.arange(6, dtype="<f4").reshape(2, 3)
for version in [(2, 0), (3, 0)]:
    file = os.path.join(folder, f"version{version[0]}.npy")
    with open(file, "wb") as f: np.lib.format.write_array(f, a, version=version)
    good.append({"file": file, "dtype": "F32", "shape": [2, 3], "hex": a.tobytes().hex()})
def put(name, array, **kw):
    bad[name] = os.path.join(folder, f"bad-{name}.npy")
    np.save(bad[name], array, **kw)
put("big-endian", a.astype(">f4"))
put("complex", a.astype("complex64"))
put("text", np.array(["a", "bc"]))
put("object", np.array([{}], dtype=object), allow_pickle=True)
put("records", np.zeros(2, dtype=[("x", "f4"), ("y", "i8")]))
np.savez(os.path.join(folder, "plain.npz"), y=np.arange(3), x=a)
np.savez_compressed(os.path.join(folder, "packed.npz"), x=np.zeros((1000, 100), "f4"), name=a)
print(json.dumps([good, bad]))
`;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
  [good, bad] = runPython<[Expected[], Record<string, string>]>(WRITE, folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const dataError = (message: RegExp): Error =>
  expect.objectContaining({
    code: "ERR_DATA_FILE",
    message: expect.stringMatching(message) as string,
  }) as Error;

describe(".npy files", () => {
  it("are read as NumPy wrote them: every dtype, shape and order", async () => {
    expect(good.length).toBe(12 * 6 * 2 + 2);
    for (const { file, dtype, shape, hex } of good) {
      const raw = await decodeNpy(readFileSync(file), file);
      expect({
        file,
        dtype: raw.dtype,
        shape: raw.shape,
        hex: Buffer.from(raw.bytes).toString("hex"),
      }).toEqual({
        file,
        dtype,
        shape,
        hex,
      });
    }
  });

  it.each([
    ["big-endian", /big-endian.*astype\("<f4"\)/],
    ["complex", /<c8/],
    ["text", /<U2/],
    ["object", /\|O/],
    ["records", /records/],
  ])("with %s elements are refused with a remedy", async (name, message) => {
    await expect(decodeNpy(readFileSync(bad[name]!), name)).rejects.toThrow(dataError(message));
  });

  it("that were cut, padded or are something else are refused, never read past their end", async () => {
    const bytes = readFileSync(path.join(folder, "float32-2x3-C.npy"));
    for (let length = 0; length < bytes.length; length++) {
      await expect(decodeNpy(bytes.subarray(0, length), "cut.npy")).rejects.toThrow(dataError(/cut\.npy/));
    }
    await expect(decodeNpy(Buffer.concat([bytes, Buffer.from([0])]), "long.npy")).rejects.toThrow(
      dataError(/needs 24/),
    );
    await expect(decodeNpy(Buffer.from("PK\x03\x04 not numpy at all"), "zip.npy")).rejects.toThrow(
      dataError(/does not start/),
    );
    const edit = (from: string, to: string) =>
      Buffer.from(bytes.toString("latin1").replace(from, to), "latin1");
    await expect(decodeNpy(edit("(2, 3)", "(2,-3)"), "x")).rejects.toThrow(dataError(/shape/));
    await expect(decodeNpy(edit("(2, 3)", "(2, z)"), "x")).rejects.toThrow(dataError(/shape/));
    await expect(decodeNpy(edit("'shape'", "'shope'"), "x")).rejects.toThrow(dataError(/header/));
    await expect(decodeNpy(edit("NUMPY\x01", "NUMPY\x09"), "x")).rejects.toThrow(dataError(/version 9/));
  });
});

describe("hostile .npy files", () => {
  it("in columns are put in rows with turns of the event loop in between", async () => {
    const header = "{'descr': '<u2', 'fortran_order': True, 'shape': (500, 2, 1000), }".padEnd(117);
    const begin = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0]);
    const elements = new Uint16Array(1_000_000).map((_, at) => at);
    const file = Buffer.concat([begin, Buffer.from(`${header}\n`), Buffer.from(elements.buffer)]);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const { bytes } = await decodeNpy(file, "x");
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
    const rows = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    for (const [i, j, k] of [
      [0, 0, 0],
      [499, 1, 999],
      [3, 1, 7],
      [250, 0, 998],
    ] as [number, number, number][])
      expect(rows[(i * 2 + j) * 1000 + k]).toBe((i + 500 * (j + 2 * k)) % 65_536);
  });

  it("with a header as long as a book are refused before it is read", async () => {
    const header = Buffer.from("'shape':(".repeat(500_000));
    const begin = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, 0, 0, 0, 0]);
    begin.writeUInt32LE(header.length, 8);
    await expect(decodeNpy(Buffer.concat([begin, header]), "x")).rejects.toThrow(
      dataError(/reads no more than/),
    );
  });
});

describe(".npz files", () => {
  const read = (name: string) => readFileSync(path.join(folder, name));

  it("give all arrays in the archive's order, or those asked for in that order", async () => {
    const all = await decodeNpz(read("plain.npz"), "plain.npz");
    expect([...all.keys()]).toEqual(["y", "x"]);
    expect(all.get("y")).toMatchObject({ dtype: "I64", shape: [3] });
    expect([...(await decodeNpz(read("plain.npz"), "plain.npz", ["x", "y"])).keys()]).toEqual(["x", "y"]);
    const packed = await decodeNpz(read("packed.npz"), "packed.npz", ["x"]);
    expect(packed.get("x")).toMatchObject({ dtype: "F32", shape: [1000, 100] });
    expect(packed.get("x")?.bytes.every((byte) => byte === 0)).toBe(true);
  });

  it("say which arrays there are when one is missing", async () => {
    await expect(decodeNpz(read("plain.npz"), "plain.npz", ["z"])).rejects.toMatchObject({
      code: "ERR_DATA_KEYS",
      message: expect.stringContaining("y, x") as string,
    });
  });

  it("that are damaged anywhere are refused", async () => {
    for (const name of ["plain.npz", "packed.npz"]) {
      const bytes = read(name);
      const data = Buffer.from(bytes);
      const at = name === "plain.npz" ? bytes.indexOf("NUMPY") + 130 : 120; // amid an array's contents
      data[at]! ^= 1;
      await expect(decodeNpz(data, name)).rejects.toThrow(dataError(/can't be read/));
      for (const length of [0, 10, 30, bytes.length >> 1, bytes.length - 1]) {
        await expect(decodeNpz(bytes.subarray(0, length), name)).rejects.toThrow(dataError(/can't be read/));
      }
    }
    await expect(decodeNpz(Buffer.from("x".repeat(100)), "text.npz")).rejects.toThrow(dataError(/not a zip/));
  });

  it("that lie of their members are refused, without the memory that they claim", async () => {
    const packed = read("packed.npz");
    const entry = packed.lastIndexOf("PK\x01\x02");
    const lie = (offset: number, value: number): Buffer => {
      const bytes = Buffer.from(packed);
      bytes.writeUInt32LE(value, entry + offset);
      return bytes;
    };
    const lies: [Buffer, RegExp][] = [
      [lie(24, 0xffff_fff0), /claims more than it can hold/],
      [lie(24, 10), /holds more than it claims/],
      [lie(20, 0x7fff_ffff), /overlap/],
      [lie(42, 0x7fff_ffff), /header of .* is damaged/],
      [lie(10, 12), /unknown way 12/],
    ];
    for (const [bytes, message] of lies)
      await expect(decodeNpz(bytes, "x.npz")).rejects.toThrow(dataError(message));
  });
});
