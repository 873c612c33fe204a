/** Making native scores. */
import { addon } from "./addon";
import type { NativeScore, NativeScoreKind, NativeTeacherView } from "./types/score";

/**
 * @param k how many of the highest logits count, for top-k accuracy
 * @param teacher how whole outputs are compared, for `teacherDistance`
 */
export function makeScore(kind: NativeScoreKind, k = 1, teacher?: NativeTeacherView): NativeScore {
  return new (addon().Score)(kind, { k, ...(teacher && { teacher }) });
}
