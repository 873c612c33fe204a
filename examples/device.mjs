// Scores a digits classifier on a CUDA device, or on the CPU if there is none. Prints images a second, with kernels
// launched one by one and as a graph, and the peak of the device's memory.
//
//   node examples/device.mjs [device, default cuda:0]
import path from "node:path";
import { fileURLToPath } from "node:url";

import {
  deviceMemory,
  graphCapture,
  Module,
  resetDeviceMemoryPeak,
  setGraphCapture,
  TensorDataLoader,
  topKAccuracy,
} from "torchsearch";

const fixtures = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "test", "fixtures");
const file = path.join(fixtures, "digits_cnn.pt");

let device = process.argv[2] ?? "cuda:0";
const module = await Module.load(file, { device }).catch((error) => {
  if (error.code !== "ERR_DEVICE") throw error;
  console.log(`${error.message} Going on with the CPU.`);
  device = "cpu";
  return Module.load(file, { device });
});
module.eval();

// Shuffled batches must be gathered. For a device, a thread gathers and copies them while the model computes.
const loader = await TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
  keys: ["train_images", "train_labels"],
  batchSize: 64,
  shuffle: true,
  seed: 1,
});
const accuracy = topKAccuracy(loader);

async function measure(name) {
  await accuracy(module); // prepares the model for these shapes, and captures a graph if that is on
  resetDeviceMemoryPeak(device);
  const start = performance.now();
  let score = 0;
  for (let pass = 0; pass < 10; pass++) score = await accuracy(module);
  const rate = (10 * loader.samples) / ((performance.now() - start) / 1000);
  console.log(`${name}: accuracy ${(100 * score).toFixed(2)} %, ${Math.round(rate)} images a second`);
}

await measure(`launched on ${device}`);
if (graphCapture(device).offered) {
  setGraphCapture(true);
  await measure("as a graph");
} else console.log(`${device} offers no graphs`);
const memory = deviceMemory(device);
if (memory !== null) console.log(`peak of tensors: ${(memory.peakAllocated / 1e6).toFixed(1)} MB`);
module.close();
loader.close();
