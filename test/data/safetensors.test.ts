import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  type RawTensor,
  readSafetensorsHeader,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
} from "../../lib/data/safetensors";
import { runPython } from "./python";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const dtypes = Object.keys(SAFETENSORS_DTYPES) as SafetensorsDtype[];
const tensor = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(3), { maxLength: 3 }))
  .chain(([dtype, shape]) => {
    const size = shape.reduce((product, length) => product * length, SAFETENSORS_DTYPES[dtype]);
    return fc
      .uint8Array({ minLength: size, maxLength: size })
      .map((bytes): RawTensor => ({ dtype, shape, bytes }));
  });
const name = fc.string().filter((text) => text !== "__metadata__" && text !== "__proto__");
const tensors = fc.dictionary(name, tensor, { maxKeys: 6 }).map((record) => new Map(Object.entries(record)));

const sorted = (map: ReadonlyMap<string, RawTensor>) =>
  [...map].map(([key, { dtype, shape, bytes }]) => [key, dtype, shape, [...bytes]]).sort();

describe("safetensors", () => {
  it("give back what was written", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.dictionary(name, fc.string({ unit: "binary" })), async (map, metadata) => {
        const read = await decodeSafetensors(Buffer.concat(encodeSafetensors(map, metadata)));
        expect(sorted(read.tensors)).toEqual(sorted(map));
        expect({ ...read.metadata }).toEqual({ ...metadata });
      }),
    );
  });

  it("are read as Python's safetensors writes them", async () => {
    const file = path.join(folder, "python.safetensors");
    const expected = runPython<Record<string, [number[], string]>>(
      `
import sys, json, torch
from safetensors.torch import save_file
t = {"f32": torch.randn(2, 3), "f16": torch.randn(5).half(), "bf16": torch.randn(3, 1).bfloat16(), "i64": torch.tensor([-1, 2**62]),
     "b": torch.tensor([True, False, True]), "u8": torch.arange(7, dtype=torch.uint8), "scalar": torch.tensor(1.5, dtype=torch.float64),
     "empty": torch.zeros(0, 4), "é": torch.ones(1)}
save_file(t, sys.argv[1], metadata={"who": "python"})
print(json.dumps({k: [list(v.shape), v.reshape(-1).view(torch.uint8).numpy().tobytes().hex() if v.numel() else ""] for k, v in t.items()}))
`,
      file,
    );
    const { tensors: read, metadata } = await decodeSafetensors(readFileSync(file));
    const seen = Object.fromEntries(
      [...read].map(([key, { shape, bytes }]) => [key, [shape, Buffer.from(bytes).toString("hex")]]),
    );
    expect(seen).toEqual(expected);
    expect(metadata).toEqual({ who: "python" });
    expect([...read].map(([key, { dtype }]) => `${key}:${dtype}`).sort()).toEqual(
      [
        "b:BOOL",
        "bf16:BF16",
        "empty:F32",
        "f16:F16",
        "f32:F32",
        "i64:I64",
        "scalar:F64",
        "u8:U8",
        "é:F32",
      ].sort(),
    );
  });

  it("headers are read without the tensors", async () => {
    const file = path.join(folder, "header.safetensors");
    const map = new Map<string, RawTensor>([["a", { dtype: "F32", shape: [2], bytes: new Uint8Array(8) }]]);
    writeFileSync(file, Buffer.concat(encodeSafetensors(map, { k: "v" })));
    expect(await readSafetensorsHeader(file)).toEqual({
      metadata: { k: "v" },
      tensors: new Map([["a", { dtype: "F32", shape: [2] }]]),
    });
  });

  it("that are malformed are refused, by the words of Python's reader or ours", async () => {
    const header = (json: string, data = ""): Buffer => {
      const body = Buffer.from(json);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(body.length));
      return Buffer.concat([length, body, Buffer.from(data)]);
    };
    const entry = (begin: number, end: number, shape = "[1]", dtype = "U8"): string =>
      `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
    const bad: [string, Buffer][] = [
      ["empty", Buffer.alloc(0)],
      ["short", Buffer.alloc(7)],
      ["huge header", Buffer.from([255, 255, 255, 255, 255, 255, 255, 127, 1])],
      ["no JSON", header("{nope")],
      ["no object", header("[]")],
      ["a comma too many", header(`{"a":${entry(0, 1)},}`, "x")],
      ["a comma for nothing", header("{,}")],
      ["text behind it", header(`{"a":${entry(0, 1)}}}`, "x")],
      ["a bracket that closes nothing", header(`{"a":${entry(0, 1)}],"b":[${entry(0, 0)}}`, "x")],
      ["an open text", header('{"a')],
      ["an empty tensor amid another", header(`{"a":${entry(0, 2, "[2]")},"b":${entry(1, 1, "[0]")}}`, "xx")],
      ["cut off", header(`{"a":${entry(0, 1)}}`)],
      ["too long", header(`{"a":${entry(0, 1)}}`, "xx")],
      ["gap", header(`{"a":${entry(1, 2)}}`, "xx")],
      ["overlap", header(`{"a":${entry(0, 1)},"b":${entry(0, 1)}}`, "x")],
      ["wrong size", header(`{"a":${entry(0, 2)}}`, "xx")],
      ["negative shape", header(`{"a":${entry(0, 1, "[-1,-1]")}}`, "x")],
      ["unknown dtype", header(`{"a":${entry(0, 1, "[1]", "Q7")}}`, "x")],
      ["metadata not strings", header('{"__metadata__":{"a":1}}')],
    ];
    const files = bad.map(([, bytes], i) => {
      const file = path.join(folder, `bad-${i}.safetensors`);
      writeFileSync(file, bytes);
      return file;
    });
    const refusedByPython = runPython<boolean[]>(
      `
import sys, json
from safetensors import safe_open
def refused(file):
    try:
        with safe_open(file, framework="np") as f: pass
        return False
    except Exception: return True
print(json.dumps([refused(f) for f in sys.argv[1:]]))
`,
      ...files,
    );
    expect(refusedByPython).toEqual(bad.map(() => true));
    for (const [what, bytes] of bad) {
      await expect(decodeSafetensors(bytes), what).rejects.toThrow(
        expect.objectContaining({ code: "ERR_SAFETENSORS" }),
      );
    }
    // Python takes the second one.
    await expect(
      decodeSafetensors(header(`{"a":${entry(0, 1)},"a":${entry(0, 1)}}`, "x")),
    ).rejects.toMatchObject({ message: expect.stringContaining("twice") as string });
    const wrong = new Map<string, RawTensor>([["a", { dtype: "F32", shape: [2], bytes: new Uint8Array(4) }]]);
    expect(() => encodeSafetensors(wrong)).toThrow(expect.objectContaining({ code: "ERR_SAFETENSORS" }));
  });
});
