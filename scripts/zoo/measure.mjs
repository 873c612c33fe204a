// What a child process measures: its memory, its time, and how much outputs differ.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { root } from "../lib/run.mjs";
import { processMemory } from "./limits.mjs";

const require = createRequire(import.meta.url);
const dist = (...file) => require(path.join(root, "dist", ...file));
const { TorchSearchError, Tensor } = dist("index.js");
const { decodeNpz } = dist("data", "npz.js");
const { encodeSafetensors } = dist("data", "safetensors.js");
const { tensorFromRaw, tensorToRaw } = dist("data", "raw-tensor.js");

export { TorchSearchError };

/** Resident bytes now. */
export const resident = () => processMemory("self", "VmRSS") ?? 0;

/** Runs `body` and returns the peak of resident memory meanwhile, in bytes. */
export async function peakOf(body) {
  try {
    writeFileSync("/proc/self/clear_refs", "5"); // lowers VmHWM to what is resident now
  } catch {
    // Not allowed here: the peak is then the process's.
  }
  const value = await body();
  return { value, peak: processMemory("self", "VmHWM") ?? 0 };
}

/** Wall-clock milliseconds of one call: the fastest of up to `repeats` after one that warms up, within about `budget` ms. */
export async function fastest(call, repeats = 5, budget = 6000) {
  const once = async () => {
    const start = performance.now();
    closeAll(await call());
    return performance.now() - start;
  };
  let best = await once();
  let spent = best;
  for (let i = 0; i < repeats && spent < budget; ++i) {
    const time = await once();
    spent += time;
    best = Math.min(best, time);
  }
  return Number(best.toFixed(2));
}

/** All tensors of a model's output, depth first, as scripts/python/verify_subnet.py orders them. */
export function tensorsOf(value) {
  if (value instanceof Tensor) return [value];
  if (value === null || typeof value !== "object") return [];
  return Object.values(value).flatMap(tensorsOf);
}

export function closeAll(output) {
  for (const tensor of tensorsOf(output)) tensor.close();
}

/** The inputs that scripts/fixtures made, with the outputs of the eager model and those of its exported program. */
export async function readExpectation(file) {
  const arrays = await decodeNpz(readFileSync(file), file);
  const those = (what) =>
    [...arrays].filter(([name]) => name.startsWith(what)).map(([, raw]) => tensorFromRaw(raw));
  return { inputs: those("input"), outputs: those("output"), exports: those("exported") };
}

/** Writes tensors as verify_subnet.py reads them. */
export function writeTensors(file, inputs, outputs) {
  const named = (what, tensors) => tensors.map((tensor, i) => [`${what}${i}`, tensor]);
  const entries = [...named("input", inputs), ...named("output", outputs)];
  const raw = entries.map(([name, tensor]) => [name, tensorToRaw(tensor)]);
  writeFileSync(file, Buffer.concat(encodeSafetensors(new Map(raw))));
}

/** Largest magnitude of all tensors; throws if they are zero or not finite, because a comparison would mean nothing. */
export function magnitudeOf(tensors) {
  let largest = 0;
  for (const tensor of tensors) {
    for (const element of tensor.data()) largest = Math.max(largest, Math.abs(Number(element)));
  }
  if (largest > 0 && Number.isFinite(largest)) return largest;
  throw new TorchSearchError("NO_OUTPUT", `The output is ${largest === 0 ? "all zeros" : "not finite"}.`);
}

/** Largest difference, relative to each tensor's own largest magnitude. */
export function relativeDifference(actual, expected) {
  const shapes = (tensors) => JSON.stringify(tensors.map(({ shape }) => shape));
  if (shapes(actual) !== shapes(expected)) {
    throw new TorchSearchError("SHAPES", `Outputs are ${shapes(actual)}, PyTorch's are ${shapes(expected)}.`);
  }
  let worst = 0;
  actual.forEach((tensor, i) => {
    const want = expected[i].data();
    const scale = magnitudeOf([expected[i]]);
    tensor.data().forEach((value, at) => {
      const difference = Math.abs(Number(value) - Number(want[at])) / scale;
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    });
  });
  return worst;
}

/** Refuses outputs that differ from PyTorch's by more than rounding. */
export function requireClose(actual, expected, what, tolerance = 1e-4) {
  const difference = relativeDifference(actual, expected);
  if (difference <= tolerance) return difference;
  throw new TorchSearchError(
    "OUTPUT_DIFFERS",
    `${what} differs from PyTorch's eager output by ${difference.toExponential(2)} of its size.`,
  );
}
