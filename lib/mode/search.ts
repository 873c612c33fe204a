/** Searching and exporting by what a space's mode has registered. */

import type { SearchConfig } from "../contract/config";
import type { Constraints, SearchStateDict } from "../contract/types";
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import type { ExportOptions, ModeSpace } from "../space/mode-space";
import { describe, expected, isFunction, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import { findMode, type ModeSearcher } from "./registry";

/** The config of {@link search}: the searcher's own, and which one it is. */
export type SearchCallConfig = Partial<SearchConfig> & {
  /** The short name of one of the mode's searchers, such as `"milp"`; the mode's default one when left out. */
  searcher?: string;
  /** Keys of the searcher's own. */
  [key: string]: unknown;
};

/**
 * Searches a space with one of its mode's searchers.
 *
 * @param space what `convert` gave
 * @param constraints upper bounds by metric, as in `BaseSearcher.search`
 * @returns `subnet`, the best one as a module with its history, and `stateDict`, what the search found
 * @throws `ERR_ARGUMENT` for what is no space; `ERR_UNKNOWN_MODE`; `ERR_UNKNOWN_SEARCHER` naming the nearest one; whatever
 *   the search throws
 */
export async function search(
  space: ModeSpace,
  constraints: Constraints,
  dummyInput: unknown = null,
  config: SearchCallConfig | null = null,
): Promise<{ subnet: Module; stateDict: SearchStateDict }> {
  const mode = findMode(requireSpace(space).mode);
  if (config !== null && !isRecord(config)) {
    throw expected("ERR_CONFIG_VALUE", "an object or nothing", "config", config);
  }
  const { searcher: name = mode.defaultSearcher, ...rest } = config ?? {};
  const Searcher = Object.hasOwn(mode.searchers, name) ? mode.searchers[name] : undefined;
  if (Searcher === undefined) {
    throw new TorchSearchError(
      "ERR_UNKNOWN_SEARCHER",
      `mode "${mode.name}" has no searcher ${describe(name)}: ${suggestion(String(name), Object.keys(mode.searchers))}`,
    );
  }
  const searcher: ModeSearcher = new Searcher();
  const found = await searcher.search(space as never, constraints as never, dummyInput, rest as never);
  return found as { subnet: Module; stateDict: SearchStateDict };
}

/**
 * What is chosen in a space now, as a module of its own with its history: `space.export()`, for code that knows no more of
 * a space than its mode.
 *
 * @throws `ERR_ARGUMENT`, `ERR_CLOSED`, `ERR_ABORTED`, and what the space's export throws
 */
export async function exportModel(space: ModeSpace, options: ExportOptions = {}): Promise<Module> {
  return requireSpace(space).export(options);
}

function requireSpace(space: ModeSpace): ModeSpace {
  const given = space as unknown;
  const fits =
    typeof given === "object" &&
    given !== null &&
    typeof (given as ModeSpace).mode === "string" &&
    isFunction((given as ModeSpace).export);
  if (!fits) throw expected("ERR_ARGUMENT", "a space made by convert()", "space", space);
  return space;
}
