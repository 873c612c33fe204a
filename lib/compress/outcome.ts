/** Sentences about steps, and the errors of compressions that reach nothing. */
import { TorchSearchError } from "../errors";
import type { CompleteCompressOptions } from "./options";
import type { StepRecord } from "./plan";
import { RATING_TITLES, type Rater } from "./rating";

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;

/** A line about a step. */
export function describeStep(
  { step, from, end, reason, costs, bounds, untrained, rating, file }: StepRecord,
  fullCosts: Readonly<Record<string, number>>,
  rater: Rater,
): string {
  const shares = Object.keys(bounds).map(
    (metric) => `${metric} ${percent((costs[metric] as number) / (fullCosts[metric] as number))}`,
  );
  const rated =
    rating === null
      ? ""
      : `; ${RATING_TITLES[rater.kind]} ${percent(untrained)} before training, ${percent(rating)} after`;
  const start = from === 0 ? "the full model" : `step ${from}`;
  const verdict = end === "good" ? "good" : `not good: ${reason}`;
  return `Step ${step}, from ${start}: ${shares.join(", ")}${rated}; ${verdict}.${file === null ? "" : ` ${file}`}`;
}

/** The error where a drop or score can't be had. */
export function unreachable(what: string): TorchSearchError {
  return new TorchSearchError(
    "ERR_DROP_UNREACHABLE",
    `${what}. Allow a larger drop or a lower score, give more data, epochs or steps, or a larger target.`,
  );
}

/** The error where no step is good enough, or the last one of a schedule is not; says what was reached. */
export function noStep(
  { output }: CompleteCompressOptions,
  best: StepRecord | undefined,
  records: readonly StepRecord[],
  rater: Rater,
  fullCosts: Readonly<Record<string, number>>,
): TorchSearchError {
  const rated = records.filter(({ drop }) => drop !== null);
  const nearest = rated.reduce<StepRecord | undefined>(
    (least, each) => (least === undefined || (each.drop as number) < (least.drop as number) ? each : least),
    undefined,
  );
  if (best !== undefined) {
    return unreachable(
      `The target was not reached; what was reached is kept as ${output}: ${describeStep(best, fullCosts, rater)}`,
    );
  }
  if (nearest === undefined) {
    const reason = records.at(-1)?.reason;
    return unreachable(
      `No step was finished${reason == null ? " in the time that effort gives" : `: ${reason}`}`,
    );
  }
  return unreachable(
    `No model within the drop was found; the nearest is kept as ${nearest.file}: ${describeStep(nearest, fullCosts, rater)}`,
  );
}
