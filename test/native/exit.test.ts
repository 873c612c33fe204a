/** Processes and workers that end in the middle of native work: they end cleanly, at once, with their own exit code. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Random } from "../../lib/util/random";
import { bundleLibrary, type EndlessJob, endlessJobs, inLanes, program, run } from "../support/endings";
import { root } from "../support/zoo";

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-endings-"));
// Within the checkout, so that the library finds the packages that it imports.
const builds = path.join(root, ".build");
mkdirSync(builds, { recursive: true });
const place = mkdtempSync(path.join(builds, "endings-"));
let library: string;
beforeAll(async () => {
  library = await bundleLibrary(place);
});
afterAll(() => {
  for (const made of [scratch, place]) rmSync(made, { recursive: true });
});
const JOBS = endlessJobs(scratch);
const jobOf = (name: string): EndlessJob => JOBS[name] as EndlessJob;

/** Ends of each job by way: 50 in all, since a process takes long to start; or so many of each way, as every night. */
const EACH = process.env.TORCHSEARCH_ENDS;
const ENDS =
  EACH === undefined
    ? { exit: 16, throw: 16, terminate: 18 }
    : { exit: +EACH, throw: +EACH, terminate: +EACH };
/** Processes at a time: one more than cores, since one of them waits for its moment. */
const LANES = os.availableParallelism() + 1;
const random = new Random(16);

describe("a process that ends in the middle of native work", () => {
  const ways = [
    { how: "process.exit(7)", wanted: 7, count: ENDS.exit },
    { how: "(() => { throw new Error('uncaught'); })()", wanted: 1, count: ENDS.throw },
  ];

  it.each(Object.keys(JOBS))("exits with its own code: %s", { timeout: 1_200_000 }, async (job) => {
    const { body, length } = jobOf(job);
    const endings = ways.flatMap(({ how, wanted, count }) =>
      Array.from({ length: count }, () => ({ how, wanted, wait: random.integer(length) })),
    );
    await inLanes(
      LANES,
      endings.map(({ how, wanted, wait }) => async () => {
        const source = program(`setTimeout(() => ${how}, ${wait}); ${body}`, library);
        const { code, signal, stderr } = await run(source);
        const what = `${how} after ${wait} ms: ${stderr}`;
        expect({ code, signal }, what).toEqual({ code: wanted, signal: null });
      }),
    );
  });

  it("does not wait for a model that never ends", { timeout: 60_000 }, async () => {
    const source = program(
      `
      const slow = await ts.Module.load(fixtures + "/ioforms/slow.pt");
      slow.forward(ts.Tensor.from([[1, 2], [3, 4]]), 1e12).catch(() => {});
      setTimeout(() => process.exit(7), 50);`,
      library,
    );
    const start = performance.now();
    const { code, signal } = await run(source);
    expect({ code, signal }).toEqual({ code: 7, signal: null });
    expect(performance.now() - start).toBeLessThan(25_000);
  });
});

describe("a worker that is terminated in the middle of native work", () => {
  it.each(Object.keys(JOBS))("leaves the process alone: %s", { timeout: 1_200_000 }, async (job) => {
    const { body, length } = jobOf(job);
    const worker = program(`require("node:worker_threads").parentPort.postMessage(1); ${body}`, library);
    const waits = Array.from({ length: ENDS.terminate }, () => random.integer(length));
    const source = (some: readonly number[]): string => `
      const { Worker } = require("node:worker_threads");
      (async () => {
        for (const wait of ${JSON.stringify(some)}) {
          const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
          await new Promise((resolve) => worker.once("message", resolve));
          await new Promise((resolve) => setTimeout(resolve, wait));
          await worker.terminate();
        }
        process.exit(9);
      })();`;
    const half = Math.ceil(ENDS.terminate / 2);
    await Promise.all(
      [waits.slice(0, half), waits.slice(half)].map(async (some) => {
        const { code, signal, stderr } = await run(source(some), 1_000_000);
        expect({ code, signal }, stderr).toEqual({ code: 9, signal: null });
      }),
    );
  });
});

describe("a forward that takes too long", () => {
  it("rejects with ERR_TIMEOUT; later calls say ERR_BUSY", { timeout: 60_000 }, async () => {
    const source = program(
      `
      const slow = await ts.Module.load(fixtures + "/ioforms/slow.pt", { timeoutMs: 100 });
      const code = await slow.forward(ts.Tensor.from([[1, 2], [3, 4]]), 1e12).then(() => "none", (error) => error.code);
      const later = await m.forward(x).then(() => "none", (error) => error.code);
      process.exit(code === "ERR_TIMEOUT" && later === "ERR_BUSY" ? 5 : 6);`,
      library,
    );
    const { code, stderr } = await run(source);
    expect(code, stderr).toBe(5);
  });
});
