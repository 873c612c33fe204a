import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "../../lib/contract/checkpoint";
import { copyState } from "../../lib/contract/state-values";
import { Tensor } from "../../lib/model/tensor";
import { runPython } from "../data/python";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
  file = path.join(folder, "state.safetensors");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const checkpointOf = (state: Record<string, unknown>): Checkpoint => ({
  state,
  fingerprint: "f00d",
  random: [1, 2, 3, 4],
  searcher: "Some",
  settings: { constraints: { flops: "60%" } },
});

async function roundTrip(state: Record<string, unknown>): Promise<Record<string, unknown>> {
  await writeCheckpoint(file, checkpointOf(state));
  return (await readCheckpoint(file))!.state;
}

const typedArrays = fc.oneof(
  fc.float32Array(),
  fc.float64Array(),
  fc.int8Array(),
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
);

const keys = fc.oneof(
  fc.string(),
  fc.constantFrom("$tensor", "$number", "__proto__", "a.b", "toString", "0"),
);

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, undefined, true, false),
    fc.double(),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    typedArrays,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(keys, tie("value"), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie("value"), { maxLength: 3 }).map((items) => new Set(items)),
  ),
})).value;

describe("checkpoints", () => {
  it("give any state back as it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(keys, values, { maxKeys: 4, noNullPrototype: true }), async (state) => {
        const back = await roundTrip(state);
        // toStrictEqual tells undefined from missing, -0 from 0, and one typed array's class from another's.
        expect(Object.entries(back)).toStrictEqual(Object.entries(state));
      }),
      { numRuns: 150 },
    );
    expect(readdirSync(folder)).toEqual(["state.safetensors"]);
  });

  it("keep the rest: fingerprint, random state, searcher, settings", async () => {
    await writeCheckpoint(file, checkpointOf({ a: 1 }));
    const { version } = JSON.parse(readFileSync(path.join(__dirname, "../../package.json"), "utf8")) as {
      version: string;
    };
    expect(await readCheckpoint(file)).toEqual({ ...checkpointOf({ a: 1 }), libraryVersion: version });
    expect(await readCheckpoint(path.join(folder, "missing"))).toBeNull();
  });

  it("hold tensors, and are safetensors files that Python reads", async () => {
    await writeCheckpoint(
      file,
      checkpointOf({
        best: { widths: Int32Array.of(8, 16), score: 0.5 },
        weight: Tensor.from(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]),
        half: Tensor.from(Uint16Array.of(0x3c00, 0xc000), [2], { dtype: "float16" }),
        brain: Tensor.from(Uint16Array.of(0x3f80, 0xc000), [2], { dtype: "bfloat16" }),
        long: Tensor.from(BigInt64Array.of(-(2n ** 60n)), [1]),
        flags: Tensor.from(Uint8Array.of(1, 0), [2], { dtype: "bool" }),
        scalar: Tensor.from(Float64Array.of(7), []),
        empty: new Float32Array(0),
      }),
    );
    const seen = runPython<{
      metadata: Record<string, string>;
      tensors: Record<string, [string, number[], unknown]>;
    }>(
      `
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="pt") as f:
    tensors = {k: [str(f.get_tensor(k).dtype), list(f.get_tensor(k).shape), f.get_tensor(k).tolist()] for k in f.keys()}
    print(json.dumps({"metadata": f.metadata(), "tensors": tensors}))
`,
      file,
    );
    expect(seen.tensors).toEqual({
      "best.widths": ["torch.int32", [2], [8, 16]],
      weight: [
        "torch.float32",
        [2, 3],
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
      ],
      half: ["torch.float16", [2], [1, -2]],
      brain: ["torch.bfloat16", [2], [1, -2]],
      long: ["torch.int64", [1], [-(2 ** 60)]],
      flags: ["torch.bool", [2], [true, false]],
      scalar: ["torch.float64", [], 7],
      empty: ["torch.float32", [0], []],
    });
    expect(seen.metadata).toMatchObject({
      format: "torchsearch-checkpoint",
      format_version: "1",
      fingerprint: "f00d",
    });
    expect(JSON.parse(seen.metadata.random!)).toEqual([1, 2, 3, 4]);

    const { state } = (await readCheckpoint(file))!;
    const half = state.half as Tensor;
    expect([half.dtype, half.shape, half.data()]).toEqual(["float16", [2], Uint16Array.of(0x3c00, 0xc000)]);
    expect((state.long as Tensor).data()).toEqual(BigInt64Array.of(-(2n ** 60n)));
    expect(state.best).toEqual({ widths: Int32Array.of(8, 16), score: 0.5 });
  });

  it("notice any flipped byte or cut: corrupt, or at least not taken for another state", async () => {
    const state = { history: [1, 2, 3], weights: Float32Array.of(1, 2, 3) };
    await writeCheckpoint(file, checkpointOf(state));
    const intact = readFileSync(file);
    await fc.assert(
      fc.asyncProperty(fc.nat(intact.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Buffer.from(intact);
        damaged[at]! ^= flip;
        writeFileSync(file, damaged);
        const read = await readCheckpoint(file).catch((error: unknown) => error);
        if (read instanceof Error) {
          expect(["ERR_CHECKPOINT_CORRUPT", "ERR_CHECKPOINT_VERSION"]).toContain(
            (read as { code?: string }).code,
          );
        } else expect((read as Checkpoint).state).toEqual(state); // the byte was outside of the state
      }),
    );
    for (let length = 0; length < intact.length; length += 7) {
      writeFileSync(file, intact.subarray(0, length));
      await expect(readCheckpoint(file)).rejects.toMatchObject({ code: "ERR_CHECKPOINT_CORRUPT" });
    }
  });

  it("refuse what they can't hold, naming where it sits, and leave the earlier file intact", async () => {
    await writeCheckpoint(file, checkpointOf({ a: 1 }));
    const earlier = readFileSync(file);
    const cycle: Record<string, unknown> = {};
    cycle.self = { again: cycle };
    const cases: [unknown, RegExp][] = [
      [{ best: { model: () => {} } }, /state\.best\.model is a function/],
      [{ list: [new Date()] }, /state\.list\.0 is an instance of Date/],
      [{ s: Symbol("x") }, /state\.s/],
      [{ c: cycle }, /contains itself/],
    ];
    for (const [state, message] of cases) {
      await expect(
        writeCheckpoint(file, checkpointOf(state as Record<string, unknown>)),
      ).rejects.toMatchObject({
        code: "ERR_STATE_VALUE",
        message: expect.stringMatching(message) as string,
      });
      expect(() => copyState(state)).toThrow(expect.objectContaining({ code: "ERR_STATE_VALUE" }));
    }
    expect(readFileSync(file)).toEqual(earlier);
    expect(readdirSync(folder)).toEqual(["state.safetensors"]);
  });

  it("say what another safetensors file is", async () => {
    runPython(
      "import sys, numpy as np; from safetensors.numpy import save_file; save_file({'x': np.zeros(3)}, sys.argv[1])",
      file,
    );
    await expect(readCheckpoint(file)).rejects.toMatchObject({
      code: "ERR_CHECKPOINT_CORRUPT",
      message: expect.stringContaining("not a checkpoint") as string,
    });
  });
});

describe("copyState", () => {
  it("copies all the way down", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(copyState(value)).toStrictEqual(value);
      }),
    );
    const state = { list: [{ array: Float32Array.of(1) }], map: new Map([["k", [1]]]) };
    const copy = copyState(state);
    copy.list[0]!.array[0] = 5;
    copy.map.get("k")!.push(2);
    expect(state).toEqual({ list: [{ array: Float32Array.of(1) }], map: new Map([["k", [1]]]) });
  });
});
