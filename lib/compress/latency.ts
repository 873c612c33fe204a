/** Milliseconds of the full model and of a result, measured in turns on this machine. */
import type { Module } from "../model/module";
import { timeInTurns } from "../profile/in-turns";

/** The median of each model in the quietest of some turns. */
export async function measureInTurns(
  full: Module,
  result: Module,
  input: unknown,
  signal: AbortSignal | null,
): Promise<{ full: number; measured: number }> {
  const [before, after] = await timeInTurns([full, result], input, { turns: 7, passes: [1, 20], signal });
  return { full: before, measured: after };
}
