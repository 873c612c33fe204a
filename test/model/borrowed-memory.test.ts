/** Memory that tensors share with ArrayBuffers, when those are transferred, resized or collected while calls use them. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, expect, it } from "vitest";

import { bundle, runUntil } from "../support/killable";
import { root } from "../support/zoo";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-borrowed-"));
const script = path.join(folder, "cases.cjs");

// Each case in a process of its own: what goes wrong here is a crash, or another's numbers. Freed memory is asked for
// again at once, and filled.
beforeAll(async () => {
  const source = `
    import { setFlagsFromString } from "node:v8";
    import { runInNewContext } from "node:vm";
    import { MessageChannel, Worker } from "node:worker_threads";
    import { Module, Tensor, TensorDataLoader } from "../lib";

    setFlagsFromString("--expose-gc");
    const gc: () => void = runInNewContext("gc");
    const SIZE = 1 << 20;
    let junk: Float64Array[] = [];
    const churn = () => {
      gc();
      junk = Array.from({ length: 8 }, () => new Float64Array(SIZE / 2).fill(Number.NaN));
      gc();
    };
    const codeOf = async (run: () => unknown) => {
      try { await run(); return "no error"; } catch (error) { return (error as { code?: string }).code; }
    };
    const filled = (value: number, buffer = new ArrayBuffer(4 * SIZE)) => new Float32Array(buffer).fill(value);
    const isAll = (data: ArrayLike<number>, value: number) => {
      for (let i = 0; i < data.length; i++) if (data[i] !== value) return \`\${data[i]} at \${i}\`;
      return data.length;
    };

    const ways: Record<string, (buffer: ArrayBuffer) => void | Promise<void>> = {
      clone: (buffer) => void structuredClone(buffer, { transfer: [buffer] }),
      channel: (buffer) => {
        const { port1, port2 } = new MessageChannel();
        port1.postMessage(buffer, [buffer]);
        port1.close();
        port2.close();
      },
      worker: async (buffer) => {
        const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => process.exit())", { eval: true });
        worker.postMessage(buffer, [buffer]);
        await new Promise((resolve) => worker.once("exit", resolve));
      },
      method: (buffer) => {
        const { transfer } = buffer as { transfer?: () => ArrayBuffer };
        if (transfer === undefined) structuredClone(buffer, { transfer: [buffer] });
        else transfer.call(buffer);
      },
    };

    const cases: Record<string, (double: Module) => Promise<unknown>> = {
      async transferredWhileRunning(double) {
        const found: unknown[] = [];
        for (const way of Object.values(ways)) {
          for (let round = 0; round < 4; round++) {
            let x: Float32Array | null = filled(round + 1);
            const tensor = Tensor.from(x);
            const calls = [double.forward(tensor), double.forward(tensor), double.forward(tensor)];
            await way(x.buffer as ArrayBuffer);
            x = null;
            churn();
            for (const y of await Promise.all(calls)) found.push(isAll((y as Tensor).data() as Float32Array, 2 * (round + 1)));
            found.push(await codeOf(() => double.forward(tensor)), await codeOf(() => tensor.data()));
          }
        }
        return [...new Set(found)];
      },
      async transferredUnderALoader() {
        let x: Float32Array | null = filled(3);
        const tensor = Tensor.from(x, [SIZE / 4, 4]);
        const loader = TensorDataLoader.fromTensors([tensor], { batchSize: SIZE / 16 });
        ways.clone?.(x.buffer as ArrayBuffer);
        x = null;
        churn();
        const found: unknown[] = [];
        for (const batch of loader) found.push(isAll((batch as Tensor[])[0]?.data() as Float32Array, 3));
        return [...new Set(found)];
      },
      async resized(double) {
        const found: unknown[] = [];
        for (const size of [0, 8, 8 * SIZE]) {
          const buffer = new (ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer & { resize(size: number): void })(
            4 * SIZE, { maxByteLength: 8 * SIZE });
          const tensor = Tensor.from(filled(5, buffer), [SIZE]);
          const call = double.forward(tensor);
          buffer.resize(size);
          churn();
          found.push(isAll(((await call) as Tensor).data() as Float32Array, 10), isAll(tensor.data() as Float32Array, 5));
        }
        return [...new Set(found)];
      },
      async grownMemoryOfWebAssembly(double) {
        let memory: WebAssembly.Memory | null = new WebAssembly.Memory({ initial: 64, maximum: 6000 });
        const tensor = Tensor.from(filled(7, memory.buffer), [SIZE]);
        const call = double.forward(tensor);
        memory.grow(5000);
        memory = null;
        churn();
        return [isAll(((await call) as Tensor).data() as Float32Array, 14), await codeOf(() => tensor.data())];
      },
      async sharedAndPooled(double) {
        const shared = filled(1, new SharedArrayBuffer(4 * SIZE) as unknown as ArrayBuffer);
        const call = double.forward(Tensor.from(shared));
        shared.fill(9);
        const pooled = Buffer.from([1, 2, 3]);
        const over = Buffer.from(new SharedArrayBuffer(4)).fill(6);
        const bytes = Tensor.from(over);
        over.fill(0);
        return [isAll(((await call) as Tensor).data() as Float32Array, 2), ...Tensor.from(pooled).data(), ...bytes.data()];
      },
      async lentViewsTransferred(double) {
        const found: unknown[] = [];
        for (let round = 0; round < 6; round++) {
          const y = (await double.forward(Tensor.from(filled(2)))) as Tensor;
          let view: Float32Array | null = y.data() as Float32Array;
          const again = double.forward(y);
          try { structuredClone(view.buffer, { transfer: [view.buffer] as ArrayBuffer[] }); } catch { /* external memory may not be transferable */ }
          view = null;
          churn();
          found.push(isAll(((await again) as Tensor).data() as Float32Array, 8), isAll(y.data() as Float32Array, 4));
          const kept = y.data() as Float32Array;
          y.close();
          churn();
          found.push(isAll(kept, 4));
        }
        return [...new Set(found)];
      },
      async detachedBefore() {
        const x = filled(1);
        structuredClone(x.buffer, { transfer: [x.buffer] as ArrayBuffer[] });
        return [await codeOf(() => Tensor.from(x)), await codeOf(() => Tensor.from(x, [0]))];
      },
    };
    (async () => {
      const double = (await Module.load(process.argv[3] as string)).eval();
      console.log(JSON.stringify(await cases[process.argv[2] as string]?.(double)));
    })();
  `;
  await bundle(source, { resolveDir: path.join(root, "test"), outfile: script });
});
afterAll(() => rmSync(folder, { recursive: true }));

const SIZE = 1 << 20;

it.each([
  ["transferredWhileRunning", [SIZE, "ERR_CLOSED"]],
  ["transferredUnderALoader", [SIZE / 4]],
  ["resized", [SIZE]],
  ["grownMemoryOfWebAssembly", [SIZE, "ERR_CLOSED"]],
  ["sharedAndPooled", [SIZE, 1, 2, 3, 6, 6, 6, 6]],
  ["lentViewsTransferred", [SIZE]],
  ["detachedBefore", ["ERR_CLOSED", "ERR_CLOSED"]],
])(
  "%s",
  async (name, expected) => {
    const model = path.join(root, "test", "fixtures", "ioforms", "double.pt");
    const output = await runUntil(script, [name, model], null);
    expect(JSON.parse(output || "null")).toEqual(expected);
  },
  120_000,
);
