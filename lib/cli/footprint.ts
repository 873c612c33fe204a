/** What a model's file takes, and how long the model takes on this machine: measured, not computed. */
import { stat } from "node:fs/promises";

import type { Module } from "../model/module";
import { profile } from "../profile/profile";

/** A file and its model, as measured. */
export interface Footprint {
  /** Bytes of the file. */
  fileBytes: number;
  /** Median milliseconds of a forward pass of one example input. */
  latency: number;
}

/** Milliseconds that timing may take, besides the first passes. */
const BUDGET = 1000;
const WARM_UP = 3;
const MOST_PASSES = 50;

/** Measures a saved model. @param threads LibTorch's threads; null for as many as it uses otherwise */
export async function footprintOf(
  module: Module,
  file: string,
  input: unknown[],
  { threads, signal }: { threads: number | null; signal: AbortSignal },
): Promise<Footprint> {
  const { size } = await stat(file);
  const time = async (warmup: number, repeats: number): Promise<number> => {
    const timed = await profile(module, input, { metrics: ["latency"], warmup, repeats, threads, signal });
    return timed.latency?.median as number;
  };
  // LibTorch compiles a model in its first passes.
  const once = await time(WARM_UP, 1);
  const passes = Math.min(MOST_PASSES, Math.floor(BUDGET / once));
  return { fileBytes: size, latency: passes < 2 ? once : await time(1, passes) };
}
