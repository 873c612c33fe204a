/** LatencyTable by itself: adding, merging, saving, loading. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { LatencyTable } from "../../lib";
import { expectCode } from "../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-table-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const conditions = { device: "cpu", threads: 2, torch: "2.13.0", hardware: "a processor" };
const relu = "aten::relu(Float[1,a,8,8]) -> Float[1,a,8,8]";
const conv = "aten::conv2d(Float[1,a,8,8], Float[b,a,3,3], None, [1, 1]) -> Float[1,b,8,8]";

function example(): LatencyTable {
  return new LatencyTable(conditions)
    .add(relu, [64], 0.02)
    .add(relu, [8], 0.01)
    .add(conv, [8, 64], 0.3)
    .add(conv, [8, 16], 0.1);
}

describe("LatencyTable", () => {
  it("holds points by operator and sizes, in order", () => {
    const table = example();
    expect(table.size).toBe(4);
    expect(table.get(conv, [8, 16])).toBe(0.1);
    expect(table.get(conv, [16, 8])).toBeUndefined();
    expect(table.entries).toEqual([
      {
        op: "aten::conv2d",
        key: conv,
        points: [
          { sizes: [8, 16], ms: 0.1 },
          { sizes: [8, 64], ms: 0.3 },
        ],
      },
      {
        op: "aten::relu",
        key: relu,
        points: [
          { sizes: [8], ms: 0.01 },
          { sizes: [64], ms: 0.02 },
        ],
      },
    ]);
    table.add(relu, [8], 99);
    expect(table.get(relu, [8])).toBe(0.01);
  });

  it("refuses points that are none", async () => {
    const table = example();
    for (const [sizes, ms] of [
      [[8, 8], 1],
      [[0], 1],
      [[1.5], 1],
      [[8], -1],
      [[8], Number.NaN],
    ] as [number[], number][]) {
      await expectCode("ERR_LATENCY_TABLE", () => table.add(relu, sizes, ms));
    }
    await expectCode("ERR_LATENCY_TABLE", () => table.add("nothing", [8], 1));
    expect(table.size).toBe(4);
  });

  it("merges what it lacks, of the same conditions only", async () => {
    const other = new LatencyTable(conditions).add(relu, [8], 5).add(relu, [32], 0.015);
    const table = example().merge(other);
    expect(table.get(relu, [8])).toBe(0.01);
    expect(table.get(relu, [32])).toBe(0.015);
    expect(table.size).toBe(5);
    for (const [name, value] of Object.entries({
      device: "cuda",
      threads: 1,
      torch: "2.11.0",
      hardware: "x",
    })) {
      const { message } = await expectCode("ERR_LATENCY_TABLE_MISMATCH", () =>
        table.merge(new LatencyTable({ ...conditions, [name]: value })),
      );
      expect(message).toContain(name);
    }
    await expectCode("ERR_ARGUMENT", () => table.merge({} as LatencyTable));
  });

  it("is the same after saving and loading, whatever is in it", async () => {
    const file = path.join(folder, "table.json");
    const point = fc.tuple(
      fc.constantFrom("aten::relu", "aten::cat", 'odd::"name'),
      fc.array(fc.integer({ min: 1, max: 1 << 20 }), { maxLength: 3 }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(point, { maxLength: 20 }), async (points) => {
        const table = new LatencyTable(conditions);
        for (const [op, sizes, ms] of points) table.add(`${op}(${sizes.length} sizes)`, sizes, Math.abs(ms));
        await table.save(file);
        const loaded = await LatencyTable.load(file);
        expect(loaded.entries).toEqual(table.entries);
        expect(loaded.conditions).toEqual(conditions);
        expect(loaded.toJSON()).toEqual(table.toJSON());
      }),
      { numRuns: 30 },
    );
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
      format: "torchsearch-latency-table",
      version: 1,
      conditions,
    });
  });

  it("refuses files that are missing, damaged, newer, or something else", async () => {
    const file = path.join(folder, "bad.json");
    await expectCode("ERR_FILE_NOT_FOUND", () => LatencyTable.load(path.join(folder, "nowhere.json")));
    await expectCode("ERR_FILE_READ", () => LatencyTable.load(folder));
    await expectCode("ERR_FILE_WRITE", () => example().save(path.join(folder, "no", "folder", "t.json")));
    const sound = JSON.stringify(example());
    const attempts: [string, string][] = [
      [sound.slice(0, -20), "ERR_LATENCY_TABLE"],
      ["[]", "ERR_LATENCY_TABLE"],
      [sound.replace("torchsearch-latency-table", "other"), "ERR_LATENCY_TABLE"],
      [sound.replace('"version":1', '"version":2'), "ERR_LATENCY_TABLE_VERSION"],
      [sound.replace('"version":1', '"version":"1"'), "ERR_LATENCY_TABLE"],
      [sound.replace('"threads":2,', ""), "ERR_LATENCY_TABLE"],
      [sound.replace("[8,16,0.1]", "[8,0.1]"), "ERR_LATENCY_TABLE"],
      [sound.replace("0.1]", "null]"), "ERR_LATENCY_TABLE"],
      [sound.replace("[8,16,0.1]", "7"), "ERR_LATENCY_TABLE"],
      [sound.replace(`"key":${JSON.stringify(relu)}`, '"key":5'), "ERR_LATENCY_TABLE"],
    ];
    for (const [text, code] of attempts) {
      expect(text).not.toBe(sound);
      writeFileSync(file, text);
      await expectCode(code, () => LatencyTable.load(file));
    }
    writeFileSync(file, sound);
    expect((await LatencyTable.load(file)).size).toBe(4);
  });
});
