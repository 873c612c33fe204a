/** Progress of long work, as events. */

/** Progress of a search, a forward loop or a score, as an event. */
export interface ProgressEvent {
  /** The kind of work, for example `forward`, `score`, `checkpoint`, or a phase that a searcher names. */
  phase: string;
  /** Steps done so far, in the phase's own unit (batches for `forward` and `score`). */
  done: number;
  /** The number of all steps, or null when it is not known. */
  total: number | null;
  /** A line for people. */
  message: string;
  /** Further values that a searcher reports: the best score so far, costs, … */
  details?: Record<string, unknown>;
}

/** Receives progress events. */
export type ProgressListener = (event: ProgressEvent) => void;
