/** Scoring candidates in a group by parts of their batches: for where there are more processes than candidates. */
import type { SearchConfig } from "../../contract/config";
import type { WorkShare } from "../../distributed/work-share";
import { scoreOf } from "../../evaluation/failures";
import { type PartedScore, partsOf, rangesOf, type ScorePart } from "../../evaluation/score-parts";
import type { ScoreFunction } from "../../evaluation/types";

/** How a score's batches are cut. */
export interface Cut {
  score: PartedScore;
  ranges: readonly (readonly [first: number, end: number])[];
}

/** How the batches of candidates are cut; null where each candidate is measured as a whole. */
export function cutOf(
  scoreFunc: ScoreFunction | null,
  dataShards: SearchConfig["dataShards"],
  { candidates, ranks }: { candidates: number; ranks: number },
): Cut | null {
  if (ranks === 1 || dataShards === null || candidates === 0) return null;
  const score = partsOf(scoreFunc);
  if (score === null) return null;
  const ranges = rangesOf(score.batches, dataShards === "auto" ? Math.ceil(ranks / candidates) : dataShards);
  return ranges.length === 1 ? null : { score, ranges };
}

/** A candidate to score. */
interface Candidate {
  /** What the result of a range of batches depends on. */
  keyOf(range: string): string;
  /** How long it takes, in any unit. */
  cost: number;
  /** Selects and recalibrates it, and measures a range of batches. */
  parts(first: number, end: number): Promise<ScorePart[]>;
}

/**
 * Scores candidates; each range of batches is measured in one of the processes, which selects and recalibrates the
 * candidate for it.
 *
 * @param onScore receives each score in the order of the candidates
 */
export async function scoreInParts(
  share: WorkShare,
  candidates: readonly Candidate[],
  { score, ranges }: Cut,
  signal: AbortSignal | null,
  onScore: (score: number, at: number) => void | Promise<void>,
): Promise<number[]> {
  const items = candidates.flatMap(({ keyOf, cost, parts }) =>
    ranges.map(([first, end]) => ({
      key: keyOf(`${first}-${end}`),
      cost: cost * (end - first),
      measure: () => parts(first, end),
    })),
  );
  const scores: number[] = [];
  let found: ScorePart[] = [];
  await share.measureAll<ScorePart[]>(items, {
    signal,
    probes: ranges.length, // all of the first candidate's batches
    onResult: async (range, i) => {
      found.push(...range);
      if ((i + 1) % ranges.length !== 0) return;
      const all = found;
      found = [];
      scores.push(await scoreOf(() => score.combine(all), signal));
      await onScore(scores.at(-1) as number, scores.length - 1);
    },
  });
  return scores;
}
