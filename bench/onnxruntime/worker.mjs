// ONNX Runtime's side of the benchmarks, with the same requests as bench/python/worker.py. Its forward loop is in
// JavaScript, because it offers no other.
import path from "node:path";
import ort from "onnxruntime-node";

import { scratch } from "../lib/page.mjs";
import { repeated } from "../lib/repeated.mjs";
import { serve } from "../lib/serve.mjs";

let loop = null;

async function load({ model, batch, images }) {
  await loop?.session.release();
  const { loader } = await repeated(path.join(scratch, `${model}.npz`), images, batch);
  const session = await ort.InferenceSession.create(path.join(scratch, `${model}.onnx`), {
    executionProviders: ["cpu"],
    intraOpNumThreads: Number(process.env.OMP_NUM_THREADS),
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
  });
  const batches = Array.from(loader, ({ images: x, labels }) => ({
    x: new ort.Tensor("float32", x.data(), x.shape),
    labels: labels.data(),
  }));
  loop = { session, batches, images };
  await run({ seconds: 0, least: 3 });
}

async function onePass() {
  let correct = 0;
  for (const { x, labels } of loop.batches) {
    const { y } = await loop.session.run({ x });
    const { data } = y;
    const classes = y.dims[1];
    for (let row = 0; row < labels.length; row++) {
      let best = row * classes;
      for (let at = best + 1; at < (row + 1) * classes; at++) if (data[at] > data[best]) best = at;
      if (best - row * classes === Number(labels[row])) correct += 1;
    }
  }
  return correct / loop.images;
}

async function run({ seconds, least = 1 }) {
  let passes = 0;
  let score;
  const start = performance.now();
  let now = start;
  while (passes < least || now - start < 1000 * seconds) {
    score = await onePass();
    passes += 1;
    now = performance.now();
  }
  return { imagesPerSecond: (1000 * passes * loop.images) / (now - start), score };
}

async function outputs() {
  const { y } = await loop.session.run({ x: loop.batches[0].x });
  return { values: Array.from(y.data) };
}

await serve({ load, run, outputs });
