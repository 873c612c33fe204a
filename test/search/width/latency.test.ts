/** Latency as a constraint: how searchers come by a table, on a space whose latencies are known exactly. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  BinarySearcher,
  type Constraints,
  LatencyTable,
  type ProgressEvent,
  RandomSearcher,
  type ScoreFunction,
  type SearchSpace,
} from "../../../lib";
import { type FakeNativeSpace, fakeSpace, macsOf } from "../../support/fake-space";
import { expectCode } from "../../support/tensors";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-latency-search-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const widest: ScoreFunction = (model) =>
  Object.values((model as SearchSpace).active).reduce((sum, width) => sum + width, 0);
const fullLatency = macsOf([16, 32, 16]) / 1000;

async function search(constraints: Constraints, config: object, { space, native } = fakeSpace()) {
  const searcher = new BinarySearcher();
  const result = await searcher.search(space, constraints, null, {
    verbose: false,
    scoreFunc: widest,
    ...config,
  });
  return { ...result, space, native };
}

function latencyOf(native: FakeNativeSpace): number {
  return macsOf(native.widths) / 1000;
}

describe("a constraint on latency", () => {
  it("has the operators measured when there is no table, and the result meets it", async () => {
    const { native, stateDict, space } = await search({ latency: "70%" }, {});
    expect(native.measurements).toBe(1);
    expect(stateDict.fullCosts?.latency).toBeCloseTo(fullLatency, 12);
    expect(stateDict.best?.costs.latency).toBeCloseTo(latencyOf(native), 12);
    expect(latencyOf(native)).toBeLessThanOrEqual(0.7 * fullLatency);
    expect(space.metrics).toContain("latency");
  });

  it("holds beside others, in milliseconds too", async () => {
    const { native } = await search({ latency: 20, params: "60%", flops: null }, {});
    expect(latencyOf(native)).toBeLessThanOrEqual(20);
    const least = macsOf([4, 8, 8]) / 1000;
    const { message } = await expectCode("ERR_CONSTRAINT_UNREACHABLE", () => search({ latency: 0.1 }, {}));
    expect(message).toContain(`smallest reachable is ${least}`);
  });

  it("without one, nothing is measured", async () => {
    const { native, stateDict } = await search({ flops: "70%" }, {});
    expect(native.measurements).toBe(0);
    expect(stateDict.best?.costs).not.toHaveProperty("latency");
  });

  it("goes by the deployment's table, saved where its path says", async () => {
    const file = path.join(folder, "table.json");
    const deployment = { latencyTable: file, threads: 1 };
    const first = await search({ latency: "70%" }, { deployment });
    expect(first.native.measurements).toBe(1);
    expect(existsSync(file)).toBe(true);
    const table = await LatencyTable.load(file);
    expect(table.conditions.threads).toBe(1);
    const second = await search({ latency: "70%" }, { deployment });
    expect(second.native.measurements).toBe(0);
    expect(second.stateDict).toEqual(first.stateDict);
    const third = await search({ latency: "70%" }, { deployment: { latencyTable: table } });
    expect(third.native.measurements).toBe(0);
    expect(third.stateDict).toEqual(first.stateDict);
  });

  it("refuses a table of other conditions than the deployment's, and one that can't be completed here", async () => {
    const known = fakeSpace();
    const table = await known.space.measureLatency({ threads: 3 });
    const attempt = (deployment: object) => search({ latency: "70%" }, { deployment });
    const { message } = await expectCode("ERR_LATENCY_TABLE_MISMATCH", () =>
      attempt({ latencyTable: table, threads: 2 }),
    );
    expect(message).toContain("threads 3, not 2");
    await expectCode("ERR_LATENCY_TABLE_MISMATCH", () => attempt({ latencyTable: table, device: "cuda:0" }));
    const elsewhere = new LatencyTable({ ...table.conditions, hardware: "another machine" });
    await expectCode("ERR_LATENCY_TABLE_MISMATCH", () => attempt({ latencyTable: elsewhere }));
    // The whole of a table of another machine will do.
    for (const { key, points } of table.entries)
      for (const { sizes, ms } of points) elsewhere.add(key, sizes, 2 * ms);
    const { stateDict } = await search({ latency: "70%" }, { deployment: { latencyTable: elsewhere } });
    expect(stateDict.fullCosts?.latency).toBeCloseTo(2 * fullLatency, 12);
    const damaged = path.join(folder, "damaged.json");
    writeFileSync(damaged, "{");
    await expectCode("ERR_LATENCY_TABLE", () => attempt({ latencyTable: damaged }));
    await expectCode("ERR_CONFIG_VALUE", () => attempt({ threads: "many" }));
    await expectCode("ERR_CONFIG_VALUE", () => attempt({ latencyTable: 5 }));
  });

  it("says by progress that it measures, and stops when aborted", async () => {
    const abort = new AbortController();
    const events: ProgressEvent[] = [];
    const known = fakeSpace();
    known.native.measureLatency = async (...args: unknown[]) => {
      const { onProgress } = args[2] as { onProgress?: (event: object) => void };
      onProgress?.({ done: 1, total: 9, message: "operators" });
      abort.abort();
      return { operators: [], threads: 1 };
    };
    const config = { signal: abort.signal, onProgress: (event: ProgressEvent) => events.push(event) };
    await expectCode("ERR_LATENCY_TABLE_INCOMPLETE", () => search({ latency: "70%" }, config, known));
    expect(events[0]).toMatchObject({ phase: "latency", done: 1, total: 9 });
  });

  it("prices earlier candidates by the table of today", async () => {
    const checkpoint = path.join(folder, "random.safetensors");
    const { space } = fakeSpace();
    const config = { verbose: false, scoreFunc: widest, checkpoint };
    await new RandomSearcher().search(space, { flops: "80%" }, null, { ...config, numIters: 10 });
    const { stateDict } = await new RandomSearcher().search(fakeSpace().space, { latency: "60%" }, null, {
      ...config,
      numIters: 20,
    });
    expect(stateDict.best?.costs.latency).toBeLessThanOrEqual(0.6 * fullLatency);
    const latencies = [...(stateDict.candidates.costs.latency as Float64Array)];
    expect(latencies.length).toBeGreaterThan(10);
    expect(latencies.every((ms) => ms > 0 && ms <= fullLatency)).toBe(true);
  });
});
