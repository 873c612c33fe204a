/**
 * A minute of everything at once: memory stays where it is, and the event loop stays free.
 *
 * No time is asserted of any work. The event loop's delays are compared with those of a thread of the same process that
 * does nothing, at the same time: whatever else the machine does delays both.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { program, run } from "../support/endings";

const SECONDS = 60;
/** A leaked model of this loop would be five times as much, or more. */
const KILOBYTES_PER_ROUND = 100;
/** What comes and goes with the pools. A busy machine does so few rounds that it looks like a slope; a leak is more. */
const NOISE_KILOBYTES = 16_000;
const DELAY_MS = 10;

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-soak-"));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Sample {
  rounds: number;
  kilobytes: number;
  files: number;
  threads: number;
}

interface Soaked {
  samples: Sample[];
  /** 99th percentiles of the event loops' delays, in milliseconds. */
  delay: number;
  idleDelay: number;
}

const SOURCE = program(`
  const { monitorEventLoopDelay } = require("node:perf_hooks");
  const { readFileSync, readdirSync } = require("node:fs");
  const { Worker } = require("node:worker_threads");
  const scratch = ${JSON.stringify(scratch)};

  const idle = new Worker(\`
    const { monitorEventLoopDelay } = require("node:perf_hooks");
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    require("node:worker_threads").parentPort.once("message", () => {
      require("node:worker_threads").parentPort.postMessage(delays.percentile(99) / 1e6);
      process.exit();
    });
    setInterval(() => {}, 1000);\`, { eval: true });
  const models = ["digits_cnn.pt", "digits_vit.pt", "digits_resnet.pt"];
  let rounds = 0;
  const end = performance.now() + ${SECONDS * 1000};
  const over = () => performance.now() >= end;

  const structure = async () => {
    while (!over()) {
      const module = await ts.Module.load(fixtures + "/" + models[rounds % 3]);
      const space = await ts.convert(module, "fastnas", x);
      await space.select(space.smallestConfig);
      space.costs(space.smallestConfig);
      (await space.forward(x)).close();
      const subnet = await space.export();
      await subnet.save(scratch + "/subnet.pt");
      (await subnet.forward(x)).close();
      for (const made of [subnet, space, module]) made.close();
      const cancelled = await ts.Module.load(fixtures + "/digits_cnn.pt");
      await ts.convert(cancelled, "fastnas", x, { signal: AbortSignal.timeout(3) }).then((s) => s.close(), () => {});
      cancelled.close();
      rounds += 1;
    }
  };
  const numbers = async () => {
    while (!over()) {
      const loader = await open();
      await ts.crossEntropy(loader, { maxBatches: 2 })(m, {});
      for (const batch of loader) for (const tensor of Object.values(batch)) tensor.close();
      loader.close();
      await ts.profile(m, x, { metrics: ["params", "flops"] });
      await m.fingerprint();
      await ts.Module.load(scratch + "/nothing.pt").catch(() => {});
    }
  };
  const forwards = async () => {
    while (!over()) (await m.forward(x)).close();
  };

  const samples = [];
  const status = () => readFileSync("/proc/self/status", "utf8");
  const sample = () => {
    global.gc();
    samples.push({
      rounds,
      kilobytes: Number(/VmRSS:\\s+(\\d+)/.exec(status())[1]),
      threads: Number(/Threads:\\s+(\\d+)/.exec(status())[1]),
      files: readdirSync("/proc/self/fd").length,
    });
  };
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const timer = setInterval(sample, 2000);
  await Promise.all([structure(), numbers(), forwards()]);
  clearInterval(timer);
  delays.disable();
  const delay = delays.percentile(99) / 1e6;
  const answer = new Promise((resolve) => idle.once("message", resolve));
  idle.postMessage(null);
  const idleDelay = await answer;
  require("node:fs").writeSync(2, JSON.stringify({ samples, delay, idleDelay }) + "\\n");
  process.exit(0);`);

/** Kilobytes that a round adds: the slope of the line of least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const x = mean(samples.map(({ rounds }) => rounds));
  const y = mean(samples.map(({ kilobytes }) => kilobytes));
  let above = 0;
  let below = 0;
  for (const { rounds, kilobytes } of samples) {
    above += (rounds - x) * (kilobytes - y);
    below += (rounds - x) ** 2;
  }
  return above / below;
}

describe.skipIf(process.platform !== "linux")("a minute of everything at once", () => {
  let soaked: Soaked;
  beforeAll(async () => {
    const { code, signal, stderr } = await run(SOURCE, 600_000, ["--expose-gc"]);
    expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
    soaked = JSON.parse(stderr.split("\n").find((line) => line.startsWith('{"samples"')) as string) as Soaked;
  }, 700_000);

  it("holds no more memory, files or threads in the end", () => {
    // The first third warms up caches and pools.
    const warm = soaked.samples.slice(Math.floor(soaked.samples.length / 3));
    const [first, last] = [warm[0] as Sample, warm.at(-1) as Sample];
    expect(last.rounds - first.rounds).toBeGreaterThan(5);
    const allowed = Math.max(KILOBYTES_PER_ROUND, NOISE_KILOBYTES / (last.rounds - first.rounds));
    expect(slopeOf(warm), JSON.stringify(warm)).toBeLessThan(allowed);
    expect(last.files).toBeLessThanOrEqual(first.files + 5);
    expect(last.threads).toBeLessThanOrEqual(first.threads + 5);
  });

  it("leaves the event loop free", () => {
    const { delay, idleDelay } = soaked;
    expect(delay, `beside ${idleDelay} ms where nothing runs`).toBeLessThan(DELAY_MS + 2 * idleDelay);
  });
});
