export type NativeScoreKind = "topKAccuracy" | "crossEntropy" | "meanSquaredError" | "klDivergence";

/** A mean over batches, accumulated in float64. */
export interface NativeScore {
  reset(): void;
  value(): number;
  count(): number;
}

/** Exported by native/binding/score.cpp. */
export interface ScoreExports {
  Score: new (kind: NativeScoreKind, options?: { k?: number }) => NativeScore;
}
