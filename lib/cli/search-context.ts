import type { Group } from "../distributed/group";
import type { ProgressListener } from "../util/progress";

/** What the work of a command needs besides its request. */
export interface SearchContext {
  /** The command's arguments, for the record. */
  args: readonly string[];
  signal: AbortSignal;
  onProgress: ProgressListener;
  /** Prints a line on standard error. */
  say(line: string): void;
  verbose: boolean;
  /** The processes that share the search; null for this one alone. */
  group: Group | null;
}
