export type NativeScoreKind =
  | "topKAccuracy"
  | "crossEntropy"
  | "meanSquaredError"
  | "klDivergence"
  | "teacherDistance";

/** Which tensor of an output counts, and where its classes are; null for the rule of the addon. */
export interface NativeOutputView {
  outputKey?: string | null;
  /** `second` or `last`. */
  classDimension?: string | null;
}

/** How whole outputs are compared with a teacher's. */
export interface NativeTeacherView {
  kinds?: readonly string[];
  /** `second` or `last`. */
  classDimension?: string | null;
  /** Which input is a mask. */
  mask?: number | string | null;
}

/** A mean over batches, accumulated in float64. */
export interface NativeScore {
  reset(): void;
  value(): number;
  count(): number;
  /** What the mean is made of. */
  tally(): { sum: number; count: number };
}

/** Exported by native/binding/score.cpp. */
export interface ScoreExports {
  Score: new (kind: NativeScoreKind, options?: { k?: number; teacher?: NativeTeacherView }) => NativeScore;
}
