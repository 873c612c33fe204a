/** Measured latencies of the digits ResNet's subnets, end to end. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  convert,
  LatencyTable,
  Module,
  type ProgressEvent,
  profile,
  Random,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const TIMING = { threads: 1, repeats: 9 };

let folder: string;
let module: Module;
let space: SearchSpace;
let table: LatencyTable;
const events: ProgressEvent[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-latency-"));
  module = await Module.load(path.join(fixtures, "digits_resnet.pt"));
  space = await convert(module, "fastnas", dummyInput());
  await expectCode("ERR_NO_LATENCY_TABLE", () => space.cost({}, "latency"));
  await expectCode("ERR_NO_LATENCY_TABLE", () => space.latencyError());
  table = await space.measureLatency({ ...TIMING, onProgress: (event) => events.push(event) });
  space.useLatencyTable(table);
});
afterAll(() => {
  space.close();
  module.close();
  rmSync(folder, { recursive: true });
});

describe("a latency table", { timeout: 240_000 }, () => {
  it("holds each operator once, at several sizes, with the conditions it was measured under", async () => {
    expect(table.conditions).toMatchObject({ device: "cpu", threads: 1 });
    expect(table.conditions.torch).toMatch(/^\d+\.\d+\.\d+/);
    expect(events.at(-1)).toMatchObject({ phase: "latency" });
    expect(events.at(-1)?.done).toBe(events.at(-1)?.total);
    const convolutions = table.entries.filter(({ op }) => op === "aten::conv2d");
    // profile() records the operators anew: the table must know each kind of convolution that it sees.
    const { operators } = await profile(module, dummyInput(), { metrics: ["flops"] });
    const shapes = operators
      .filter(({ op }) => op === "aten::conv2d")
      .map(({ inputShapes, outputShapes }) => JSON.stringify([inputShapes, outputShapes]));
    expect(convolutions.length).toBeGreaterThan(3);
    expect(convolutions.length).toBeLessThanOrEqual(new Set(shapes).size);
    const both = convolutions.filter(({ key }) => key.includes("Float[b,a,"));
    expect(both.length).toBeGreaterThan(0);
    for (const { points } of both) expect(points.length).toBeGreaterThanOrEqual(4);
  });

  it("prices subnets, the wider the dearer, within a factor of what whole forwards take", async () => {
    const full = space.cost(space.fullConfig, "latency");
    const smallest = space.cost(space.smallestConfig, "latency");
    expect(smallest).toBeGreaterThan(0);
    expect(smallest).toBeLessThan(full);
    expect(space.costs({}).latency).toBe(full);
    const { latency } = await profile(module, dummyInput(), { metrics: ["latency"], threads: 1 });
    expect(full / (latency?.median as number)).toBeGreaterThan(0.3);
    expect(full / (latency?.median as number)).toBeLessThan(3);
    const error = await space.latencyError({ samples: 4, repeats: 9 });
    expect(error.samples.length).toBe(6);
    expect(error.samples[1]?.config).toEqual(space.fullConfig);
    expect(error.median).toBeLessThan(0.6);
    expect(error.scaledMedian).toBeLessThan(0.5);
    expect(space.active).toEqual(space.fullConfig);
  });

  it("is measured once: what it has is not measured again, and a saved one gives the same prices", async () => {
    const size = table.size;
    const again: ProgressEvent[] = [];
    const same = await space.measureLatency({ ...TIMING, table, onProgress: (event) => again.push(event) });
    expect(same).toBe(table);
    expect(again).toEqual([]);
    expect(table.size).toBe(size);
    const file = path.join(folder, "table.json");
    await table.save(file);
    const other = await Module.load(path.join(fixtures, "digits_resnet.pt"));
    const twin = await convert(other, "fastnas", dummyInput());
    twin.useLatencyTable(await LatencyTable.load(file));
    const rng = new Random(2);
    for (let i = 0; i < 50; i++) {
      const config = space.sample(rng);
      expect(twin.cost(config, "latency")).toBe(space.cost(config, "latency"));
    }
    twin.useLatencyTable(null);
    expect(twin.latencyTable).toBeNull();
    await expectCode("ERR_NO_LATENCY_TABLE", () => twin.cost({}, "latency"));
    await expectCode("ERR_LATENCY_TABLE_INCOMPLETE", () =>
      twin.useLatencyTable(new LatencyTable(table.conditions)),
    );
    twin.close();
    await expectCode("ERR_CLOSED", () => twin.cost({}, "latency"));
    await expectCode("ERR_CLOSED", () => twin.useLatencyTable(table));
    await expectCode("ERR_CLOSED", () => twin.measureLatency());
    other.close();
  });

  it("is not extended under other conditions, by bad options, or by an aborted measurement", async () => {
    const size = table.size;
    await expectCode("ERR_LATENCY_TABLE_MISMATCH", () => space.measureLatency({ table, threads: 2 }));
    await expectCode("ERR_ARGUMENT", () => space.measureLatency({ points: 1 }));
    await expectCode("ERR_ARGUMENT", () => space.measureLatency({ repeats: 0 }));
    await expectCode("ERR_ARGUMENT", () => space.latencyError({ samples: 0 }));
    await expectCode("ERR_ARGUMENT", () => space.useLatencyTable({} as LatencyTable));
    await expectCode("ERR_ABORTED", () => space.measureLatency({ signal: AbortSignal.abort() }));
    const abort = new AbortController();
    const stopped = space.measureLatency({
      table,
      points: 7,
      repeats: 300,
      signal: abort.signal,
      onProgress: () => abort.abort(),
    });
    await expectCode("ERR_ABORTED", () => stopped);
    expect(table.size).toBe(size);
  });

  it("carries a search that meets a latency, and finds a subnet that is measured to be faster", async () => {
    const test = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
      keys: ["test_images", "test_labels"],
      batchSize: 250,
    });
    const { subnet, stateDict } = await new BinarySearcher().search(
      space,
      { latency: "60%", params: "80%" },
      dummyInput(),
      {
        scoreFunc: topKAccuracy(test),
        maxChoices: 1,
        verbose: false,
        deployment: { latencyTable: table, threads: 1 },
      },
    );
    const { best, fullCosts, bounds } = stateDict;
    expect(bounds?.latency).toBeCloseTo(0.6 * (fullCosts?.latency as number), 12);
    expect(best?.costs.latency).toBeLessThanOrEqual(bounds?.latency as number);
    expect(best?.costs.params).toBeLessThanOrEqual(0.8 * (fullCosts?.params as number));
    expect(space.cost(best?.config ?? {}, "latency")).toBe(best?.costs.latency);
    const timed = { metrics: ["latency" as const], threads: 1, repeats: 30 };
    const before = await profile(module, dummyInput(), timed);
    const after = await profile(subnet, dummyInput(), timed);
    expect(after.latency?.min).toBeLessThan(before.latency?.min as number);
    subnet.close();
    test.close();
  });
});
