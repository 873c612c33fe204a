import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TensorDataLoader } from "../../lib/data/tensor-loader";
import { Tensor } from "../../lib/model/tensor";
import { runPython } from "./python";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
  runPython(
    `
import sys, os, numpy as np
from safetensors.numpy import save_file
folder = sys.argv[1]
x = np.arange(20, dtype="f4").reshape(5, 4); y = np.arange(5)
np.savez(os.path.join(folder, "d.npz"), x=x, y=y)
np.save(os.path.join(folder, "x.npy"), np.asfortranarray(x)); np.save(os.path.join(folder, "y.npy"), y)
save_file({"x": x, "y": y}, os.path.join(folder, "d.safetensors"))
save_file({"only": x}, os.path.join(folder, "one.safetensors"))
`,
    folder,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => path.join(folder, name);
const code = (value: string, message = /./): Error =>
  expect.objectContaining({ code: value, message: expect.stringMatching(message) as string }) as Error;

/** Batches as plain values. */
function plain(loader: TensorDataLoader): unknown[] {
  return Array.from(loader, (batch) =>
    Array.isArray(batch)
      ? batch.map((tensor) => tensor.toArray())
      : Object.fromEntries(Object.entries(batch).map(([key, tensor]) => [key, tensor.toArray()])),
  );
}

const rows = [0, 1, 2, 3, 4].map((row) => [0, 1, 2, 3].map((column) => 4 * row + column));
const byKey = [
  { x: rows.slice(0, 2), y: [0n, 1n] },
  { x: rows.slice(2, 4), y: [2n, 3n] },
  { x: rows.slice(4), y: [4n] },
];

describe("TensorDataLoader", () => {
  const x = () => Tensor.from(rows);
  const y = () => Tensor.from([0n, 1n, 2n, 3n, 4n]);

  it("cuts tensors into batches, by position or by name, again and again", () => {
    const byPosition = TensorDataLoader.fromTensors([x(), y()], { batchSize: 2 });
    expect([byPosition.batches, byPosition.samples]).toEqual([3, 5]);
    for (let pass = 0; pass < 2; pass++) {
      expect(plain(byPosition)).toEqual(byKey.map((batch) => [batch.x, batch.y]));
    }
    expect(plain(TensorDataLoader.fromTensors({ x: x(), y: y() }, { batchSize: 2 }))).toEqual(byKey);
    const dropped = TensorDataLoader.fromTensors([y()], { batchSize: 2, dropLast: true });
    expect(plain(dropped)).toEqual([[[0n, 1n]], [[2n, 3n]]]);
    expect([dropped.batches, dropped.samples]).toEqual([2, 4]);
    expect(TensorDataLoader.fromTensors([y()]).batches).toBe(1);
  });

  it("shuffles by seed: the same order in every pass, tensors stay together, nothing is lost", () => {
    const order = (seed: number): bigint[] => {
      const loader = TensorDataLoader.fromTensors({ x: x(), y: y() }, { batchSize: 2, shuffle: true, seed });
      const first = plain(loader) as typeof byKey;
      expect(plain(loader)).toEqual(first);
      for (const batch of first) expect(batch.x).toEqual(batch.y.map((row) => rows[Number(row)]));
      return first.flatMap((batch) => batch.y);
    };
    expect(order(1)).toEqual(order(1));
    expect([...order(1)].sort()).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(new Set([1, 2, 3, 4, 5].map((seed) => order(seed).join())).size).toBeGreaterThan(1);
  });

  it("reads .npz, .npy and safetensors files", async () => {
    const options = { batchSize: 2 };
    expect(plain(await TensorDataLoader.fromNpz(at("d.npz"), options))).toEqual(byKey);
    expect(plain(await TensorDataLoader.fromNpz(at("d.npz"), { ...options, keys: ["y"] }))).toEqual(
      byKey.map(({ y }) => ({ y })),
    );
    expect(plain(await TensorDataLoader.fromNpy({ x: at("x.npy"), y: at("y.npy") }, options))).toEqual(byKey);
    expect(plain(await TensorDataLoader.fromNpy([at("x.npy"), at("y.npy")], options))).toEqual(
      byKey.map(({ x, y }) => [x, y]),
    );
    expect(plain(await TensorDataLoader.fromNpy(at("y.npy"), options))).toEqual(byKey.map(({ y }) => [y]));
    expect(
      plain(await TensorDataLoader.fromSafetensors(at("d.safetensors"), { ...options, keys: ["x", "y"] })),
    ).toEqual(byKey);
    expect(plain(await TensorDataLoader.fromSafetensors(at("one.safetensors"), options))).toEqual(
      byKey.map(({ x }) => ({ only: x })),
    );
  });

  it("refuses missing, damaged and unfit data, and says what there is", async () => {
    writeFileSync(at("text.npz"), "not a zip archive, however long it is");
    for (const load of [
      TensorDataLoader.fromNpz,
      TensorDataLoader.fromNpy,
      TensorDataLoader.fromSafetensors,
    ]) {
      await expect(load.call(TensorDataLoader, at("missing"))).rejects.toThrow(
        code("ERR_DATA_FILE", /missing/),
      );
      await expect(load.call(TensorDataLoader, at("text.npz"))).rejects.toThrow(
        code("ERR_DATA_FILE", /text\.npz/),
      );
    }
    await expect(TensorDataLoader.fromSafetensors(at("d.safetensors"))).rejects.toThrow(
      code("ERR_DATA_KEYS", /x, y/),
    );
    await expect(TensorDataLoader.fromSafetensors(at("d.safetensors"), { keys: ["z"] })).rejects.toThrow(
      code("ERR_DATA_KEYS", /x, y/),
    );
    await expect(TensorDataLoader.fromNpz(at("d.npz"), { keys: ["z"] })).rejects.toThrow(
      code("ERR_DATA_KEYS", /x, y/),
    );
    expect(() => TensorDataLoader.fromTensors([x(), Tensor.from([1, 2])])).toThrow(
      code("ERR_DATASET", /0: \[5, 4\], 1: \[2\]/),
    );
    expect(() => TensorDataLoader.fromTensors([Tensor.from(Float32Array.of(1), [])])).toThrow(
      code("ERR_DATASET"),
    );
    for (const nothing of [[], {}, null, [1], { x: 1 }]) {
      expect(() => TensorDataLoader.fromTensors(nothing as never)).toThrow(code("ERR_ARGUMENT"));
    }
    for (const batchSize of [0, -1, 1.5, "2"]) {
      expect(() => TensorDataLoader.fromTensors([x()], { batchSize: batchSize as number })).toThrow(
        code("ERR_ARGUMENT"),
      );
    }
    expect(() => TensorDataLoader.fromTensors([x()], { shuffle: true, seed: 0.5 })).toThrow(
      code("ERR_ARGUMENT"),
    );
  });

  it("lets go of what it read, but not of what it was given", async () => {
    const given = x();
    const loader = TensorDataLoader.fromTensors([given]);
    loader.close();
    loader.close();
    expect(given.closed).toBe(false);
    expect(() => [...loader]).toThrow(code("ERR_CLOSED"));
    const read = await TensorDataLoader.fromNpz(at("d.npz"));
    read[Symbol.dispose]();
    expect(() => [...read]).toThrow(code("ERR_CLOSED"));
  });
});
