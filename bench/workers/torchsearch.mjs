// Our side of the benchmarks; the same requests as bench/python/worker.py.
import path from "node:path";

import {
  convert,
  deviceMemory,
  Module,
  meanSquaredError,
  resetDeviceMemoryPeak,
  setGraphCapture,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

import { scratch } from "../lib/page.mjs";
import { repeated } from "../lib/repeated.mjs";
import { serve } from "../lib/serve.mjs";

let loop = null;

/**
 * `module` is a loaded file, `space` the full subnet of a search space made from it. `graphs` is the file with its
 * kernels captured as a graph, if requested.
 */
async function load({ model, batch, images, device, graphs }) {
  loop?.close();
  const { loader, example } = await repeated(path.join(scratch, `${model}.npz`), images, batch);
  const module = await Module.load(path.join(scratch, `${model}.pt`), { device });
  module.eval();
  const source = await Module.load(path.join(scratch, `${model}.pt`), { device });
  const space = await convert(source, "fastnas", example);
  const close = () => {
    space.close();
    for (const each of [source, module]) each.close();
  };
  const models = { module, space, ...(graphs ? { graphs: module } : {}) };
  loop = { loader, example, images, device: device ?? "cpu", score: topKAccuracy(loader), models, close };
  for (const variant of Object.keys(loop.models)) await run({ variant, seconds: 0, least: 3 });
}

async function run({ variant, seconds, least = 1 }) {
  const { models, score, images, device } = loop;
  setGraphCapture(variant === "graphs");
  if (variant === "graphs") await score(models[variant]); // captures
  resetDeviceMemoryPeak(device);
  let passes = 0;
  let value;
  const start = performance.now();
  let now = start;
  while (passes < least || now - start < 1000 * seconds) {
    value = await score(models[variant]);
    passes += 1;
    now = performance.now();
  }
  const peakBytes = deviceMemory(device)?.peakAllocated;
  return { imagesPerSecond: (1000 * passes * images) / (now - start), score: value, peakBytes };
}

async function outputs({ variant }) {
  const [first] = loop.loader;
  const output = await loop.models[variant].forward(Object.values(first)[0]);
  return { values: Array.from(output.data()) };
}

/** Seconds of `count` calls; `inFlight` of them are started before the first is awaited. */
async function calls({ file, count, inFlight = 1 }) {
  const module = await Module.load(file);
  const x = Tensor.from(new Float32Array([1]), [1]);
  const some = async (calls) => {
    for (let done = 0; done < calls; done += inFlight) {
      const outputs = await Promise.all(Array.from({ length: inFlight }, () => module.forward(x)));
      for (const output of outputs) output.close();
    }
  };
  await some(1000);
  const start = performance.now();
  await some(count);
  const seconds = (performance.now() - start) / 1000;
  module.close();
  return { seconds };
}

/** Seconds of a native loop over so many batches of one sample. */
async function batches({ file, count }) {
  const module = await Module.load(file);
  module.eval();
  const x = Tensor.from(new Float32Array(count), [count, 1]);
  const loader = TensorDataLoader.fromTensors([x, x], { batchSize: 1 });
  const score = meanSquaredError(loader);
  await meanSquaredError(loader, { maxBatches: 1000 })(module);
  const start = performance.now();
  await score(module);
  const seconds = (performance.now() - start) / 1000;
  module.close();
  return { seconds };
}

await serve({ load, run, outputs, calls, batches });
