/** Files that were made by hand to do harm, and what must come of each. */
import type { Sample } from "../kinds";

export interface Attack extends Sample {
  /** Who reads it (`READERS`). */
  kind: string;
  /** What the first step gave that wasn't "ok", or "ok"; or one of several. */
  wanted: string | readonly string[];
}

/** A row whose file is refused as data. */
export const refusedData = (kind: string, name: string, what: string, bytes: Buffer): Attack => ({
  kind,
  name,
  what,
  bytes,
  wanted: "ERR_DATA_FILE",
});
