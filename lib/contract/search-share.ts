/** A search as one of a group of processes: each rank runs it, and what is measured is spread among them. */
import type { Group } from "../distributed/group";
import { SharedSearch } from "../distributed/shared-search";
import { ALONE, type WorkShare } from "../distributed/work-share";
import { TorchSearchError } from "../errors";
import type { SearchModel } from "../evaluation/types";
import { plainSettings } from "./search-checkpoint";
import type { Constraints } from "./types";

/** What every rank must have in common. */
interface SharedFacts {
  searcher: string;
  /** Whether it measures anything that could be shared. */
  sharesWork: boolean;
  model: SearchModel;
  constraints: Constraints<string>;
  config: object;
  signal: AbortSignal | null;
}

/** Begins a search in a group, where rank 0 begins the same one; without a group, or alone in it, it is done here. */
export async function beginSharing(
  group: Group | null,
  { searcher, sharesWork, model, constraints, config, signal }: SharedFacts,
): Promise<WorkShare> {
  if (group === null || group.worldSize <= 1) return ALONE;
  if (!sharesWork) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `${searcher} measures nothing that several processes could share: leave group out of its config, and run it in one process.`,
    );
  }
  const settings = plainSettings(config);
  for (const key of ["group", "verbose", "signal", "onProgress", "checkpoint", "activationCache"])
    delete settings[key];
  const fingerprint = await model.fingerprint({ signal });
  const named = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`config.${key}`, value]));
  return SharedSearch.begin(group, { searcher, model: fingerprint, constraints, ...named }, signal);
}
