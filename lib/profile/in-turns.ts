import type { Module } from "../model/module";
import { profile } from "./profile";

/** Milliseconds that one turn of one model may take. */
const TURN = 200;
/** LibTorch compiles a model in its first passes. */
const WARM_UP = 3;

/** How two models are timed in turns. */
export interface TurnOptions {
  /** Turns of each model. */
  turns: number;
  /** Passes in a turn of 200 ms: at least, even where they take longer (0 leaves the turns out then), and at most. */
  passes: readonly [least: number, most: number];
  /** LibTorch's threads; null for as many as it uses otherwise. */
  threads?: number | null;
  signal: AbortSignal | null;
}

/**
 * Times two models side by side on this machine: the median milliseconds of a forward pass in the quietest of a few
 * turns, so that a busy moment of the machine meets both.
 */
export async function timeInTurns(
  models: readonly [Module, Module],
  input: unknown,
  { turns, passes: [least, most], threads = null, signal }: TurnOptions,
): Promise<[number, number]> {
  const time = async (module: Module, warmup: number, repeats: number): Promise<number> => {
    const timed = await profile(module, input, { metrics: ["latency"], warmup, repeats, threads, signal });
    return timed.latency?.median as number;
  };
  const found: [number, number] = [await time(models[0], WARM_UP, 1), await time(models[1], WARM_UP, 1)];
  const passes = Math.max(least, Math.min(most, Math.floor(TURN / Math.max(...found))));
  for (let turn = 0; passes > 0 && turn < turns; turn++) {
    found[0] = Math.min(found[0], await time(models[0], 1, passes));
    found[1] = Math.min(found[1], await time(models[1], 1, passes));
  }
  return found;
}

/** A result may take so much longer than a bound on latency: timings differ. */
export const LATENCY_TOLERANCE = 1.03;

/**
 * Times a result and the full model in turns, to compare them with a bound on latency.
 *
 * @param threads LibTorch's threads; null for as many as it uses otherwise
 * @returns milliseconds of each
 */
export async function timeResult(
  full: Module,
  result: Module,
  input: unknown,
  { threads = null, signal }: Pick<TurnOptions, "threads" | "signal">,
): Promise<{ full: number; measured: number }> {
  const [before, after] = await timeInTurns([full, result], input, {
    turns: 7,
    passes: [1, 20],
    threads,
    signal,
  });
  return { full: before, measured: after };
}
