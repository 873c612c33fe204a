/** Progress of long work, as events. */

/** Progress of a search, a forward loop or a score, as an event. */
export interface ProgressEvent {
  /** What is going on, for example `forward`, `score`, `checkpoint`, or a phase that a searcher names. */
  phase: string;
  /** Steps done so far, in the phase's own unit (batches for `forward` and `score`). */
  done: number;
  /** Steps in all, or null when that is not known. */
  total: number | null;
  /** A line for people. */
  message: string;
  /** Whatever else a searcher reports: the best score so far, costs, … */
  details?: Record<string, unknown>;
}

/** Is told how far the work is. */
export type ProgressListener = (event: ProgressEvent) => void;
