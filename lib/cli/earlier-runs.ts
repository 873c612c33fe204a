/** What a checkpoint has of earlier runs of a search, and whether this one may go on from it. */
import { isDeepStrictEqual } from "node:util";

import { readCheckpoint } from "../contract/checkpoint";
import { TorchSearchError } from "../errors";
import { isRecord } from "../util/check";
import { presentName } from "../util/renamed";
import type { ScoredAccuracy } from "./accuracy-so-far";
import { type DataDigest, digestData, recordedDigests, requireSameData } from "./data-digest";
import { SCORES } from "./options/rows/search";
import type { SearchRequest } from "./request";
import type { SearchContext } from "./search-context";
import { presentRequest } from "./search-request";
import type { ChosenScore } from "./search-scores";

/** Keys of a request that decide what a score means. */
const DECISIVE = [
  "data",
  "inputArrays",
  "targetArray",
  "dtype",
  "batchSize",
  "shuffle",
  "input",
  "score",
  "topK",
  "outputKey",
  "classDimension",
  "maxBatches",
  "holdout",
  "images",
  "recalibrate",
  "calibrationBatches",
  "mode",
] as const;

/** What a checkpoint has of earlier runs. */
export interface EarlierRuns {
  seconds: number;
  /** The name of its score; null where it isn't known. */
  score: string | null;
  /** Null for no checkpoint, and for one of an earlier version. */
  data: DataDigest[] | null;
  /** The accuracy of its best candidate; null where it isn't known. */
  best: ScoredAccuracy | null;
}

/**
 * What the checkpoint has of earlier runs; null without one.
 *
 * @throws `ERR_CLI_CHECKPOINT` when another command measured the scores there in another way
 */
export async function earlierRuns(request: SearchRequest): Promise<EarlierRuns | null> {
  const checkpoint = await readCheckpoint(request.checkpoint);
  const annotations = checkpoint?.settings.annotations;
  const earlier =
    isRecord(annotations) && isRecord(annotations.request) ? presentRequest(annotations.request) : null;
  if (earlier === null || !isRecord(annotations)) return null;
  // As JSON keeps it: without keys that are undefined.
  const plain = JSON.parse(JSON.stringify(request)) as Record<string, unknown>;
  const other = DECISIVE.filter((key) => !isDeepStrictEqual(earlier[key] ?? null, plain[key] ?? null));
  if (request.shuffle && !isDeepStrictEqual(earlier.seed, plain.seed)) (other as string[]).push("seed");
  if (other.length === 0)
    return {
      seconds: Number(annotations.seconds) || 0,
      score: isRecord(annotations.score) ? presentScore(annotations.score.name) : null,
      data: recordedDigests(annotations),
      best: isRecord(annotations.best) ? (annotations.best as unknown as ScoredAccuracy) : null,
    };
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${request.checkpoint} holds a search with another ${other.join(", ")}, whose scores can't be compared. ` +
      "Name another --checkpoint, or delete it to start anew.",
  );
}

function presentScore(name: unknown): string | null {
  return typeof name === "string" ? (presentName(name, SCORES) ?? name) : null;
}

/** Refuses to mix scores: what `auto` means depends on the version. @throws `ERR_CLI_CHECKPOINT` */
export function requireSameScore(
  { checkpoint }: SearchRequest,
  earlier: EarlierRuns | null,
  { name }: ChosenScore,
): void {
  if (earlier === null || earlier.score === null || earlier.score === name) return;
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${checkpoint} holds scores by ${earlier.score}, and now candidates are rated by ${name}. Name another --checkpoint, or ` +
      `repeat the search with --score ${earlier.score} and another --checkpoint.`,
  );
}

/** The digests of the data. @throws `ERR_DATA_CHANGED` when they aren't those of the checkpoint */
export async function digestsFor(
  { data, checkpoint }: SearchRequest,
  earlier: EarlierRuns | null,
  { signal, say }: SearchContext,
): Promise<DataDigest[] | null> {
  const digests = await digestData(data, earlier?.data ?? null, signal);
  if (earlier === null || digests === null) return digests;
  if (earlier.data === null)
    say(`${checkpoint} doesn't say which content its data had; they are taken to be unchanged.`);
  else requireSameData(checkpoint, earlier.data, digests);
  return digests;
}
