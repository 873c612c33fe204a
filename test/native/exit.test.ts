/**
 * Processes and workers that end in the middle of native work: they end cleanly, at once, with their own exit code.
 * Needs dist/.
 */
import { spawn } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { packageRoot } from "../../lib/native/paths";

const program = (body: string): string => `
  const ts = require(${JSON.stringify(path.join(packageRoot, "dist", "index.js"))});
  const fixtures = ${JSON.stringify(path.join(packageRoot, "test", "fixtures"))};
  (async () => {
    const m = await ts.Module.load(fixtures + "/digits_cnn.pt");
    const x = ts.Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const data = await ts.TensorDataLoader.fromNpz(fixtures + "/digits.npz", {
      keys: ["train_images", "train_labels"], batchSize: 64,
    });
    ${body}
  })();`;

const JOBS: Readonly<Record<string, string>> = {
  forward: "for (;;) (await m.forward(x)).close();",
  score: "for (;;) await ts.crossEntropy(data)(m, {});",
  convert: "for (;;) (await ts.convert(m, 'fastnas', x)).close();",
  finetune: "for (;;) await ts.finetune(m, data, { steps: 100 });",
  load: "for (;;) (await ts.Module.load(fixtures + '/digits_vit.pt')).close();",
  profile: "for (;;) await ts.profile(m, x);",
};

/** How a program ended. */
function run(
  source: string,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }> {
  const child = spawn(process.execPath, ["-e", source], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stderr });
    }),
  );
}

describe("a process that ends in the middle of native work", () => {
  it.each(Object.keys(JOBS))("exits with its own code: %s", { timeout: 120_000 }, async (job) => {
    for (const [how, wanted] of [
      ["process.exit(7)", 7],
      ["(() => { throw new Error('uncaught'); })()", 1],
    ] as const) {
      for (const wait of [5, 40, 90]) {
        const { code, signal, stderr } = await run(
          program(`setTimeout(() => ${how}, ${wait}); ${JOBS[job]}`),
        );
        expect({ code, signal }, `${how} after ${wait} ms: ${stderr}`).toEqual({
          code: wanted,
          signal: null,
        });
      }
    }
  });

  it("does not wait for a model that never ends", { timeout: 60_000 }, async () => {
    const source = program(`
      const slow = await ts.Module.load(fixtures + "/ioforms/slow.pt");
      slow.forward(ts.Tensor.from([[1, 2], [3, 4]]), 1e12).catch(() => {});
      setTimeout(() => process.exit(7), 50);`);
    const start = performance.now();
    const { code, signal } = await run(source);
    expect({ code, signal }).toEqual({ code: 7, signal: null });
    expect(performance.now() - start).toBeLessThan(25_000);
  });
});

describe("a worker that is terminated in the middle of native work", () => {
  it.each(["forward", "convert", "profile"])(
    "leaves the process alone: %s",
    { timeout: 120_000 },
    async (job) => {
      const worker = program(`require("node:worker_threads").parentPort.postMessage(1); ${JOBS[job]}`);
      const source = `
      const { Worker } = require("node:worker_threads");
      (async () => {
        for (let i = 0; i < 12; ++i) {
          const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
          await new Promise((resolve) => worker.once("message", resolve));
          await new Promise((resolve) => setTimeout(resolve, i * 7));
          await worker.terminate();
        }
        process.exit(9);
      })();`;
      const { code, signal, stderr } = await run(source);
      expect({ code, signal }, stderr).toEqual({ code: 9, signal: null });
    },
  );
});

describe("a forward that takes too long", () => {
  it("rejects with ERR_TIMEOUT; later calls say ERR_BUSY", { timeout: 60_000 }, async () => {
    const source = program(`
      const slow = await ts.Module.load(fixtures + "/ioforms/slow.pt", { timeoutMs: 100 });
      const code = await slow.forward(ts.Tensor.from([[1, 2], [3, 4]]), 1e12).then(() => "none", (error) => error.code);
      const later = await m.forward(x).then(() => "none", (error) => error.code);
      process.exit(code === "ERR_TIMEOUT" && later === "ERR_BUSY" ? 5 : 6);`);
    const { code, stderr } = await run(source);
    expect(code, stderr).toBe(5);
  });
});
