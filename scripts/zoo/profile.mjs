// Loads and profiles a model, in a process that does nothing else: its memory is that of a plain forward pass.
import { createRequire } from "node:module";
import path from "node:path";

import { root } from "../lib/run.mjs";
import * as measure from "./measure.mjs";

const { Module, profile, Tensor, TorchSearchError } = createRequire(import.meta.url)(
  path.join(root, "dist", "index.js"),
);

/** The relative error allowed in FLOPs. */
const TOLERANCE = 1e-3;

export async function run({ file, expectation, oracle }, stage) {
  const exported = file.endsWith(".pt2");
  const { module, inputs, args } = await stage("load", async () => {
    Tensor.from([0]).close(); // the addon and LibTorch, which are not the model's memory
    const base = measure.resident();
    const module = await Module.load(file);
    const loaded = measure.resident();
    if (expectation === null) {
      // A detector: a list of images, and nothing to compare with.
      const [, ...shape] = oracle.input;
      const count = shape.reduce((a, b) => a * b, 1);
      const input = Tensor.from(
        Float32Array.from({ length: count }, (_, i) => (i % 255) / 255),
        shape,
      );
      return { keep: { module, inputs: [input], args: [[input]] }, memory: { base, loaded } };
    }
    const { inputs, outputs, exports } = await measure.readExpectation(expectation);
    const { value: output, peak: forward } = await measure.peakOf(() => module.forward(...inputs));
    const tensors = measure.tensorsOf(output);
    const difference = measure.requireClose(tensors, outputs, "The loaded model");
    const facts = { memory: { base, loaded, forward }, difference };
    if (exported) {
      facts.bitEqual = measure.relativeDifference(tensors, exports) === 0;
      if (!facts.bitEqual) measure.requireClose(tensors, exports, "The loaded program", 1e-5);
    }
    measure.closeAll(output);
    return { keep: { module, inputs, args: inputs }, ...facts };
  });

  await stage("profile", async () => {
    const { params, flops, size } = await profile(module, args, { metrics: ["flops"] });
    if (params !== oracle.params) {
      throw new TorchSearchError(
        "PARAMS_DIFFER",
        `${params} parameters were counted, PyTorch has ${oracle.params}.`,
      );
    }
    if (Math.abs(flops - oracle.flops) > TOLERANCE * oracle.flops) {
      throw new TorchSearchError(
        "FLOPS_DIFFER",
        `${flops} FLOPs were counted, FlopCounterMode counts ${oracle.flops}.`,
      );
    }
    return { params, flops, size };
  });

  if (expectation !== null) {
    await stage("time", async () => ({ forwardMs: await measure.fastest(() => module.forward(...args)) }));
  }
  measure.closeAll(inputs);
  module.close();
}
