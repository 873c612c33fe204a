/** Latencies of one operator. */
export interface NativeLatencyOperator {
  /** Operator, shapes and arguments; letters stand for sizes that vary. */
  key: string;
  /** How many sizes vary. */
  variables: number;
  /** Rows of `variables` sizes and the milliseconds at them. */
  points: Float64Array;
}

/** How forwards are timed; `threads` of 0 keeps LibTorch's number. */
export interface NativeTimingOptions {
  warmup: number;
  repeats: number;
  threads: number;
}
