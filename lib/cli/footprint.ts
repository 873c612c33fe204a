/** What model files take, and how long the models take on this machine: measured, not computed. */
import { stat } from "node:fs/promises";

import type { Module } from "../model/module";
import { timeInTurns } from "../profile/in-turns";
import type { Change } from "./search-types";

/** A model and its file. */
interface Saved {
  module: Module;
  file: string;
}

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
  const options = { turns: 5, passes: [0, 10] as const, threads, signal };
  const [before, after] = await timeInTurns([full.module, result.module], input, options);
  const bytes = async ({ file }: Saved): Promise<number> => (await stat(file)).size;
  return { fileBytes: { before: await bytes(full), after: await bytes(result) }, latency: { before, after } };
}
