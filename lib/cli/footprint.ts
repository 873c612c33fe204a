/** What model files take, and how long the models take on this machine: measured, not computed. */
import { stat } from "node:fs/promises";

import type { Module } from "../model/module";
import { profile } from "../profile/profile";
import type { Change } from "./search-types";

/** A model and its file. */
interface Saved {
  module: Module;
  file: string;
}

/** Milliseconds that timing one model may take, besides the first passes. */
const BUDGET = 1000;
/** Turns of each model, so that a busy moment of the machine meets both. */
const TURNS = 5;
const MOST_PASSES = 10;
const WARM_UP = 3;

/**
 * Measures the full model and the result side by side: bytes of the files, and the median milliseconds of a forward pass
 * in the quietest of a few turns.
 *
 * @param threads LibTorch's threads; null for as many as it uses otherwise
 */
export async function measureBoth(
  full: Saved,
  result: Saved,
  input: unknown[],
  { threads, signal }: { threads: number | null; signal: AbortSignal },
): Promise<{ fileBytes: Change; latency: Change }> {
  const time = async (module: Module, warmup: number, repeats: number): Promise<number> => {
    const timed = await profile(module, input, { metrics: ["latency"], warmup, repeats, threads, signal });
    return timed.latency?.median as number;
  };
  // LibTorch compiles a model in its first passes.
  const latency = {
    before: await time(full.module, WARM_UP, 1),
    after: await time(result.module, WARM_UP, 1),
  };
  const slower = Math.max(latency.before, latency.after);
  const passes = Math.min(MOST_PASSES, Math.floor(BUDGET / slower / TURNS));
  for (let turn = 0; passes > 0 && turn < TURNS; turn++) {
    latency.before = Math.min(latency.before, await time(full.module, 1, passes));
    latency.after = Math.min(latency.after, await time(result.module, 1, passes));
  }
  const bytes = async ({ file }: Saved): Promise<number> => (await stat(file)).size;
  return { fileBytes: { before: await bytes(full), after: await bytes(result) }, latency };
}
