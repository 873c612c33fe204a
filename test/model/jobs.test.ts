import { once } from "node:events";
import { describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { addon } from "../../lib/native/addon";
import { runPlainScript, runScript, startWorker, supportFile } from "../support/addon";
import { fixture } from "../support/ioforms";
import { expectCode, numbersOf } from "../support/tensors";

const square = () => Tensor.from(new Float32Array(128 * 128).fill(0.01), [128, 128]);
const slow = JSON.stringify(fixture("slow"));
const double = JSON.stringify(fixture("double"));

describe("AbortSignal", () => {
  it("rejects at once when it is aborted already", async () => {
    const module = await Module.load(fixture("double"));
    const signal = AbortSignal.abort(new Error("no longer needed"));
    const error = await expectCode("ERR_ABORTED", () =>
      module.forwardWith([Tensor.from([1])], {}, { signal }),
    );
    expect(error.cause).toBe(signal.reason);
    await expectCode("ERR_ABORTED", () => Module.load(fixture("double"), { signal }));
    module.close();
  });

  it("drops a call that waits, while the one before it goes on", async () => {
    const module = await Module.load(fixture("slow"));
    const controller = new AbortController();
    const order: string[] = [];
    const first = module.forwardWith([square(), 600]).then(() => order.push("first"));
    const waiting = module
      .forwardWith([square(), 1_000_000_000], {}, { signal: controller.signal })
      .catch((error) => order.push(error.code));
    setTimeout(() => controller.abort(), 5);
    await Promise.all([first, waiting]);
    expect(order).toEqual(["ERR_ABORTED", "first"]);
    module.close();
  });

  it("rejects a running call when it ends", async () => {
    const module = await Module.load(fixture("slow"));
    const controller = new AbortController();
    const running = module.forwardWith([square(), 500], {}, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await expectCode("ERR_ABORTED", () => running);
    expect(numbersOf((await module.forward(square(), 0)) as Tensor)[0]).toBeCloseTo(0.01);
    module.close();
  });
});

describe("Compute jobs", () => {
  it("leave the event loop free", async () => {
    const module = await Module.load(fixture("slow"));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    await module.forward(square(), 400);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(2);
    module.close();
  });

  it("run in order, for several modules at once", async () => {
    const [one, two] = await Promise.all([Module.load(fixture("double")), Module.load(fixture("identity"))]);
    const order: number[] = [];
    const calls = Array.from({ length: 40 }, async (_, i) => {
      const output = (await (i % 2 ? one : two).forward(Tensor.from([i]))) as Tensor;
      order.push(i);
      return output.item();
    });
    expect(await Promise.all(calls)).toEqual(calls.map((_, i) => (i % 2 ? 2 * i : i)));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    one.close();
    two.close();
  });

  it("use as many threads as asked for", async () => {
    const before = addon().getThreads();
    expect(before).toBeGreaterThan(0);
    addon().setThreads(1);
    expect(addon().getThreads()).toBe(1);
    const module = await Module.load(fixture("double"));
    await module.forward(Tensor.from([1]));
    addon().setThreads(before);
    await expectCode("ERR_INPUT", () => addon().setThreads(0));
    module.close();
  });

  it("work in worker_threads, beside the main thread", async () => {
    const module = await Module.load(fixture("double"));
    const workers = [1, 2].map((i) =>
      startWorker(`
        native.Module.load(${double}, {}, {}).then(async (module) => {
          const x = native.Tensor.from(new Float32Array([${i}, 10]), [2], "float32");
          for (let n = 0; n < 20; n++) await module.forward([x], {}, {});
          const y = await module.forward([x], {}, {});
          parentPort.postMessage([...y.data()]);
        });
      `),
    );
    const answers = workers.map((worker) => once(worker, "message"));
    for (let i = 0; i < 20; i++) await module.forward(Tensor.from([i]));
    expect((await Promise.all(answers)).map(([data]) => data)).toEqual([
      [2, 20],
      [4, 20],
    ]);
    expect(await Promise.all(workers.map((worker) => worker.terminate()))).toBeDefined();
    expect(((await module.forward(Tensor.from([4]))) as Tensor).item()).toBe(8);
    module.close();
  });

  it("of a worker that is terminated end with it, and the others go on", async () => {
    const module = await Module.load(fixture("double"));
    for (let round = 0; round < 3; round++) {
      const worker = startWorker(`
        native.Module.load(${slow}, {}, {}).then((module) => {
          const x = native.Tensor.from(new Float32Array(128 * 128), [128, 128], "float32");
          for (let n = 0; n < 50; n++) module.forward([x, 300], {}, {});
          parentPort.postMessage("busy");
        });
      `);
      await once(worker, "message");
      await worker.terminate();
      expect(((await module.forward(Tensor.from([round]))) as Tensor).item()).toBe(2 * round);
    }
    module.close();
  });
});

describe("A process", () => {
  it("exits cleanly while jobs wait and run", async () => {
    const ended = await runScript(`
      native.Module.load(${slow}, {}, {}).then((module) => {
        const x = native.Tensor.from(new Float32Array(128 * 128), [128, 128], "float32");
        for (let n = 0; n < 50; n++) module.forward([x, 1000], {}, {});
        setTimeout(() => process.exit(7), 20);
      });
    `);
    expect(ended).toMatchObject({ code: 7, signal: null, stderr: "" });
  });

  it("stays alive for its jobs, and ends by itself after the last", async () => {
    const ended = await runScript(`
      native.Module.load(${slow}, {}, {}).then(async (module) => {
        const x = native.Tensor.from(new Float32Array(128 * 128), [128, 128], "float32");
        await module.forward([x, 100], {}, {});
        process.stdout.write("done");
      });
    `);
    expect(ended).toEqual({ code: 0, signal: null, stdout: "done", stderr: "" });
  });

  it("outlives workers when only they have loaded the addon", async () => {
    const source = JSON.stringify(`
      const { native } = require(${JSON.stringify(supportFile)});
      native.Module.load(${double}, {}, {}).then(async (module) => {
        const x = native.Tensor.from(new Float32Array([3]), [1], "float32");
        const y = await module.forward([x], {}, {});
        require("node:worker_threads").parentPort.postMessage(y.data()[0]);
      });
    `);
    const ended = await runPlainScript(`
      const { Worker } = require("node:worker_threads");
      const { once } = require("node:events");
      (async () => {
        for (let round = 0; round < 3; round++) {
          const worker = new Worker(${source}, { eval: true });
          const [answer] = await once(worker, "message");
          await worker.terminate();
          process.stdout.write(answer + " ");
        }
      })();
    `);
    expect(ended).toEqual({ code: 0, signal: null, stdout: "6 6 6 ", stderr: "" });
  });

  it("survives errors that nobody handles being thrown by a progress listener", async () => {
    const ended = await runScript(`
      native.Module.load(${double}, {}, {}).then(async (module) => {
        const x = native.Tensor.from(new Float32Array(100), [100], "float32");
        const data = native.Dataset.fromTensors([x], { batchSize: 1 });
        const onProgress = () => { throw new Error("listener"); };
        const error = await native.forwardAll(module, data, { inputs: [0] }, { onProgress }).catch((error) => error);
        process.stdout.write(error.message);
      });
    `);
    expect(ended).toEqual({ code: 0, signal: null, stdout: "listener", stderr: "" });
  });

  it("gives memory back: tensors, outputs, views and modules do not pile up", async () => {
    const ended = await runScript(
      `
      const tick = () => new Promise((resolve) => setTimeout(resolve, 5));
      const settle = async () => { for (let i = 0; i < 6; i++) { gc(); await tick(); } };
      (async () => {
        const module = await native.Module.load(${double}, {}, {});
        const round = async () => {
          for (let i = 0; i < 50; i++) {
            const x = native.Tensor.from(new Float32Array(256 * 1024), [256 * 1024], "float32"); // 1 MiB
            const y = await module.forward([x], {}, {});
            if (y.data()[0] !== 0) throw new Error("wrong");
            if (i % 2) y.close();
            if (i % 10 === 0) (await native.Module.load(${double}, {}, {})).close();
          }
          await settle();
        };
        await round();
        const before = process.memoryUsage();
        for (let i = 0; i < 5; i++) await round();
        const after = process.memoryUsage();
        const grown = (key) => Math.round((after[key] - before[key]) / 2 ** 20);
        process.stdout.write(JSON.stringify({ rss: grown("rss"), external: grown("external"), buffers: grown("arrayBuffers") }));
      })();
    `,
      ["--expose-gc"],
    );
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const { rss, external, buffers } = JSON.parse(ended.stdout) as Record<string, number>;
    // 250 rounds of 2 MiB went through; whatever leaks per round would show.
    expect(rss).toBeLessThan(60);
    expect(Math.abs(external as number)).toBeLessThan(4);
    expect(Math.abs(buffers as number)).toBeLessThan(4);
  });
});
