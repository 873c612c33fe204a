/** Searching until a bound on latency holds as measured, and not by the table alone. */
import { resolveConstraints } from "../contract/constraints";
import type { Constraints } from "../contract/types";
import { TorchSearchError } from "../errors";
import { LATENCY_TOLERANCE } from "../profile/in-turns";
import { formatMilliseconds } from "../profile/units";

/** How often a search is repeated within a smaller bound by the table. */
const MOST_REPEATS = 3;

/** Milliseconds of a forward pass. */
export interface ConfirmedLatency {
  /** The bound: the user's own, or its share of the full model's measured latency. */
  bound: number;
  /** Of the result by the table. */
  predicted: number;
  /** Of the result, measured in turns with the full model. */
  measured: number;
  /** Of the full model, measured likewise. */
  full: number;
  /** Whether what was measured is within 3 % of the bound. */
  met: boolean;
  /** How often the search went on within a smaller bound by the table. */
  repeats: number;
}

/** What is searched and timed. */
export interface Confirmation<Found> {
  /** Searches within constraints. */
  search(constraints: Constraints): Promise<Found>;
  /** The full model's and a result's latency by the table. */
  predicted(found: Found): { full: number; result: number };
  /** Times the full model and a result in turns; null where this machine isn't the table's. */
  measure(found: Found): Promise<{ full: number; measured: number } | null>;
  /** Frees a result that another one replaces. */
  drop(found: Found): void;
  /** Prints a line. */
  say(line: string): void;
}

/**
 * Searches, and times the result beside the full model where latency is bounded. A result that takes longer than its
 * bound shows that the table predicts too little: the search goes on within a bound by the table that is smaller by as
 * much, three times at most. A percentage is one of the full model's measured latency.
 *
 * @returns the last result; its latency is null where none is bounded, or nothing can be measured
 */
export async function confirmedSearch<Found>(
  constraints: Constraints,
  { search, predicted, measure, drop, say }: Confirmation<Found>,
): Promise<{ found: Found; latency: ConfirmedLatency | null }> {
  let found = await search(constraints);
  if (!Object.hasOwn(constraints, "latency") || constraints.latency == null) return { found, latency: null };
  for (let repeats = 0; ; repeats++) {
    const { full, result } = predicted(found);
    const timed = await measure(found);
    if (timed === null) return { found, latency: null };
    const bound = upperBound(constraints, timed.full);
    const met = timed.measured <= LATENCY_TOLERANCE * bound;
    const latency = { bound, predicted: result, ...timed, met, repeats };
    if (met || repeats === MOST_REPEATS) return { found, latency };
    // What the table allows, if its error stays as it is.
    const allowed = Math.min(result, upperBound(constraints, full)) * (bound / timed.measured);
    const [is, may, said, next] = [timed.measured, bound, result, allowed].map((ms) =>
      formatMilliseconds(ms),
    );
    say(
      `The result takes ${is} of ${may}, where the table said ${said}: searching on within ${next} by the table.`,
    );
    try {
      const better = await search({ ...constraints, latency: allowed });
      drop(found);
      found = better;
    } catch (error) {
      if (!(error instanceof TorchSearchError) || error.code !== "ERR_CONSTRAINT_UNREACHABLE") throw error;
      say("No subnet is faster than that by the table: the result stays.");
      return { found, latency };
    }
  }
}

/** The bound on latency in milliseconds, where percentages are of `full`. */
function upperBound({ latency = null }: Constraints, full: number): number {
  return resolveConstraints({ latency }, { latency: full }).latency ?? Number.POSITIVE_INFINITY;
}
