/** Searching and exporting by what a space's mode has registered. */
import type { SearchConfig } from "../contract/config";
import type { Constraints, ConstraintsOf, SearchStateDict } from "../contract/types";
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import type { ExportOptions, ModeSpace } from "../space/mode-space";
import { describe, expected, isFunction, isRecord, requireOptions } from "../util/check";
import { suggestion } from "../util/nearest";
import type { Mode, ModeMap } from "./built-in";
import "./built-in";
import { type AnyMode, findMode, type ModeSearcher, type SpaceOf } from "./registry";

/**
 * The modes of the library that a space may have been made by, as far as its type says: the one that its `mode` names,
 * or all that make such a space. None for a space of a mode of your own.
 */
export type ModesOf<Space extends ModeSpace> = Space["mode"] extends Mode
  ? Space["mode"]
  : { [Name in Mode]: Space extends SpaceOf<ModeMap[Name]> ? Name : never }[Mode];

/** The descriptor of a space's mode, as far as the space's type says it. */
export type DescriptorOf<Space extends ModeSpace> = [ModesOf<Space>] extends [never]
  ? AnyMode
  : ModeMap[ModesOf<Space>];

/** The short names of the searchers of a space's mode. */
export type SearcherName<Space extends ModeSpace> = keyof DescriptorOf<Space>["searchers"] & string;
/** The short name of the searcher that `search` takes by default. */
export type DefaultSearcher<Space extends ModeSpace> = DescriptorOf<Space>["defaultSearcher"] &
  SearcherName<Space>;
/** The class of instances that a short name stands for. */
export type SearcherOf<
  Space extends ModeSpace,
  Name extends SearcherName<Space>,
> = DescriptorOf<Space>["searchers"][Name] extends new () => infer Searcher ? Searcher : never;

/** The keys of a searcher's config. A mode of your own may have any. */
export type SearcherConfig<Searcher> = Searcher extends { readonly defaultSearchConfig: infer Config }
  ? Partial<Config>
  : Partial<SearchConfig> & { [key: string]: unknown };
/** The state that a searcher returns. */
export type SearcherState<Searcher> = Searcher extends { readonly defaultStateDict: infer State }
  ? SearchStateDict & State
  : SearchStateDict;

/** The config of {@link search}: the searcher's own keys, and which searcher it is. */
export type SearchCallConfig<
  Space extends ModeSpace = ModeSpace,
  Name extends SearcherName<Space> = DefaultSearcher<Space>,
> = SearcherConfig<SearcherOf<Space, Name>> & {
  /** The short name of one of the mode's searchers, such as `"milp"`. By default the mode's default searcher. */
  searcher?: Name;
};

/**
 * Searches a space with one of its mode's searchers. The types of constraints, config and state follow from the mode
 * and the searcher's name.
 *
 * @param space a space that `convert` made
 * @param constraints bounds by metric, as in `BaseSearcher.search`
 * @returns `subnet`, the best one as a module with its history, and `stateDict`, what the search found
 * @throws `ERR_ARGUMENT` where `space` isn't a space; `ERR_UNKNOWN_MODE`; `ERR_UNKNOWN_SEARCHER` naming the nearest
 *   one; any error of the search
 *
 * @example
 * ```ts
 * const { subnet, stateDict } = await search(space, { flops: "60%" }, dummyInput, {
 *   searcher: "random",
 *   numIters: 5,
 *   scoreFunc,
 * });
 * await subnet.save("subnet.pt");
 * console.log(stateDict.best?.costs.flops);
 * ```
 */
export async function search<
  Space extends ModeSpace,
  Name extends SearcherName<Space> = DefaultSearcher<Space>,
>(
  space: Space,
  constraints: [ModesOf<Space>] extends [never] ? Constraints<string> : ConstraintsOf<Space>,
  dummyInput: unknown = null,
  config: SearchCallConfig<Space, Name> | null = null,
): Promise<{ subnet: Module; stateDict: SearcherState<SearcherOf<Space, Name>> }> {
  const mode = findMode(requireSpace(space).mode);
  if (config !== null && !isRecord(config)) {
    throw expected("ERR_CONFIG_VALUE", "an object or nothing", "config", config);
  }
  const { searcher: name = mode.defaultSearcher, ...rest } = (config ?? {}) as SearchCallConfig;
  const Searcher = Object.hasOwn(mode.searchers, name) ? mode.searchers[name] : undefined;
  if (Searcher === undefined) {
    throw new TorchSearchError(
      "ERR_UNKNOWN_SEARCHER",
      `mode "${mode.name}" has no searcher ${describe(name)}: ${suggestion(String(name), Object.keys(mode.searchers))}`,
    );
  }
  const searcher: ModeSearcher = new Searcher();
  const found = await searcher.search(space as never, constraints as never, dummyInput, rest as never);
  return found as { subnet: Module; stateDict: SearcherState<SearcherOf<Space, Name>> };
}

/**
 * Makes a module, with its history, of what is selected in a space: `space.export()`, for a space of any mode.
 *
 * @throws `ERR_ARGUMENT`, `ERR_CLOSED`, `ERR_ABORTED`, and what the space's export throws
 *
 * @example
 * ```ts
 * space.select(space.smallestConfig);
 * const subnet = await exportModel(space);
 * await subnet.save("smallest.pt");
 * ```
 */
export async function exportModel(space: ModeSpace, options: ExportOptions = {}): Promise<Module> {
  requireOptions(options, "exportModel");
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
