/** Making native scores. */
import { addon } from "./addon";
import type { NativeScore, NativeScoreKind } from "./types/score";

/** @param k how many of the highest logits count, for top-k accuracy */
export function makeScore(kind: NativeScoreKind, k = 1): NativeScore {
  return new (addon().Score)(kind, { k });
}
