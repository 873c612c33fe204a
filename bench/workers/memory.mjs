// Our side of bench/memory.mjs: node memory.mjs MODEL BATCH IMAGES module|space; prints { peakBytes }.
import path from "node:path";

import { convert, Module, TensorDataLoader, topKAccuracy } from "torchsearch";

import { peakMemory } from "../lib/memory.mjs";
import { scratch } from "../lib/page.mjs";

const [model, batch, images, variant] = process.argv.slice(2);
const loader = await TensorDataLoader.fromNpz(path.join(scratch, `${model}.npz`), {
  keys: ["images", "labels"],
  batchSize: Number(batch),
});
let module = await Module.load(path.join(scratch, `${model}.pt`));
module.eval();
if (variant === "space") {
  const [{ images: first }] = loader;
  module = await convert(module, "fastnas", first);
}
const score = topKAccuracy(loader, { maxBatches: Math.ceil(Number(images) / Number(batch)) });
for (let pass = 0; pass < 3; pass++) await score(module);
console.log(JSON.stringify({ peakBytes: peakMemory() }));
