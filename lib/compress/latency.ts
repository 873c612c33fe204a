/** Milliseconds of the full model and of a result, measured in turns on this machine. */
import type { Module } from "../model/module";
import { profile } from "../profile/profile";

/** Turns of each model, so that a busy moment of the machine meets both. */
const TURNS = 7;
const WARM_UP = 3;
/** Milliseconds that one turn may take. */
const TURN = 200;
const MOST_PASSES = 20;

/** The median of each model in the quietest of some turns. */
export async function measureInTurns(
  full: Module,
  result: Module,
  input: unknown,
  signal: AbortSignal | null,
): Promise<{ full: number; measured: number }> {
  const time = async (module: Module, warmup: number, repeats: number): Promise<number> => {
    const timed = await profile(module, input, { metrics: ["latency"], warmup, repeats, signal });
    return timed.latency?.median as number;
  };
  const found = { full: await time(full, WARM_UP, 1), measured: await time(result, WARM_UP, 1) };
  const passes = Math.max(1, Math.min(MOST_PASSES, Math.floor(TURN / Math.max(found.full, found.measured))));
  for (let turn = 0; turn < TURNS; turn++) {
    found.full = Math.min(found.full, await time(full, 1, passes));
    found.measured = Math.min(found.measured, await time(result, 1, passes));
  }
  return found;
}
