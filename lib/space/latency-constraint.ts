/** The latency table that a search uses when a constraint bounds latency. */

import type { Deployment } from "../contract/types";
import { ALONE, type WorkShare } from "../distributed/work-share";
import { TorchSearchError } from "../errors";
import { LatencyTable } from "../profile/latency-table";
import type { ProgressListener } from "../util/progress";
import type { MeasureLatencyOptions } from "./latency";

/** What {@link prepareLatency} uses of a space. */
export interface TimedSpace {
  readonly latencyTable: LatencyTable | null;
  useLatencyTable(table: LatencyTable | null): void;
  measureLatency(options?: MeasureLatencyOptions): Promise<LatencyTable>;
}

interface Run {
  signal: AbortSignal | null;
  onProgress: ProgressListener | null;
  log: (message: string) => void;
  /** Rank 0 measures for all, since no two measurements are alike. */
  share?: WorkShare;
}

/**
 * Gives a space a latency table: the deployment's, else the one that the space has, else one that is measured here. A
 * deployment's table that lacks some of the space's operators is completed, and saved when the deployment gives its
 * path.
 *
 * @throws `ERR_LATENCY_TABLE_MISMATCH` when the table is of another device or number of threads than the deployment,
 *   or lacks an operator and is of another machine; `ERR_LATENCY_TABLE`; `ERR_CONFIG_VALUE`; what files throw
 */
export async function prepareLatency(
  space: TimedSpace,
  deployment: Deployment | null,
  run: Run,
): Promise<void> {
  const { share = ALONE, signal } = run;
  if (share.worldSize === 1) return prepareHere(space, deployment, run);
  const table = await share.once(async () => {
    await prepareHere(space, deployment, run);
    return space.latencyTable?.toJSON() ?? null;
  }, signal);
  if (share.rank !== 0 && table !== null) space.useLatencyTable(LatencyTable.fromJSON(table));
}

async function prepareHere(space: TimedSpace, deployment: Deployment | null, run: Run): Promise<void> {
  const given = deployment?.latencyTable;
  const path = typeof given === "string" ? given : null;
  const threads = deployment?.threads;
  const table =
    path === null ? ((given as LatencyTable | undefined) ?? space.latencyTable) : await read(path);
  table?.requireConditions({ device: deployment?.device, threads });
  if (table !== null && serves(space, table)) return;
  run.log(table === null ? "Measuring operators for a latency table." : "Completing the latency table.");
  const measured = await space.measureLatency({
    table,
    threads,
    signal: run.signal,
    onProgress: run.onProgress,
  });
  space.useLatencyTable(measured);
  if (path === null) return;
  await measured.save(path);
  run.log(`Saved the latency table as ${path}.`);
}

/** Whether the table has all that the space needs; then the space uses it. */
function serves(space: TimedSpace, table: LatencyTable): boolean {
  try {
    space.useLatencyTable(table);
    return true;
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_LATENCY_TABLE_INCOMPLETE") return false;
    throw error;
  }
}

async function read(path: string): Promise<LatencyTable | null> {
  try {
    return await LatencyTable.load(path);
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_FILE_NOT_FOUND") return null;
    throw error;
  }
}
