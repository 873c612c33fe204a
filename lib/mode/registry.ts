/** The modes by name: how `convert`, `search` and `export` find their parts. */
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import type { ModeSpace } from "../space/mode-space";
import { describe, expected, isFunction, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import type { ConfigRule } from "../util/rules";

/** A searcher as {@link search} uses it: any `BaseSearcher`. */
export interface ModeSearcher {
  /** Searches a space. Returns the best result together with the searcher's state. */
  search(
    space: never,
    constraints: never,
    dummyInput?: unknown,
    config?: never,
  ): Promise<{ subnet: unknown; stateDict: unknown }>;
}

/** The classes of searchers by short name, such as `milp`. */
export type ModeSearchers = Readonly<Record<string, new () => ModeSearcher>>;

/** Any mode: what {@link ModeDescriptor} describes, without the types of its config and its space. */
export interface AnyMode {
  /** Lower case letters, digits and underscores. */
  readonly name: string;
  /** One line for people. */
  readonly description: string;
  /** All config keys with their defaults. */
  readonly defaults: object;
  /** What each key accepts. */
  readonly rules: Readonly<Record<string, ConfigRule>>;
  /** Checks several keys together. @throws `ERR_CONFIG_VALUE` */
  check?(config: never): void;
  /** Makes the space. */
  convert(module: Module, dummyInput: unknown, config: never, from: string): Promise<ModeSpace>;
  /** The searchers by short name. */
  readonly searchers: ModeSearchers;
  /** The short name of the searcher that `search` takes by default. */
  readonly defaultSearcher: string;
}

/**
 * A mode: one way to make a space of a module, and the searchers that search it.
 *
 * @typeParam Config the config of `convert`
 * @typeParam Space the space that `convert` makes
 * @typeParam Searchers the searchers by short name
 * @typeParam Default the short name of the default searcher
 */
export interface ModeDescriptor<
  Config extends object = object,
  Space extends ModeSpace = ModeSpace,
  Searchers extends ModeSearchers = ModeSearchers,
  Default extends keyof Searchers & string = keyof Searchers & string,
> extends AnyMode {
  readonly defaults: Required<Config>;
  readonly rules: Readonly<Record<keyof Config & string, ConfigRule>>;
  check?(config: Required<Config>): void;
  /**
   * Makes the space.
   *
   * @param config complete and checked
   * @param from the module's fingerprint before anything changed it
   */
  convert(module: Module, dummyInput: unknown, config: Required<Config>, from: string): Promise<Space>;
  readonly searchers: Searchers;
  readonly defaultSearcher: Default;
}

/** The config that a mode's `convert` takes. */
export type ConfigOf<Descriptor extends AnyMode> = Partial<Descriptor["defaults"]>;
/** The space that a mode makes. */
export type SpaceOf<Descriptor extends AnyMode> = Awaited<ReturnType<Descriptor["convert"]>>;

const registered = new Map<string, AnyMode>();

/**
 * Registers a mode, so that `convert` and `search` know it by its name. Pass the returned descriptor to `convert` for a
 * typed config and space.
 *
 * @returns the mode
 * @throws `ERR_ARGUMENT` for an incomplete one; `ERR_MODE_EXISTS` when another has the name
 *
 * @example
 * ```ts
 * const coarse = registerMode<{ divisor?: number }, SearchSpace>({
 *   name: "coarse",
 *   description: "few widths, searched by evolution",
 *   defaults: { divisor: 16 },
 *   rules: { divisor: { expected: "a whole number", accepts: (value) => Number.isInteger(value) } },
 *   convert: (from, input, { divisor }) => convert(from, "fastnas", input, { channelDivisor: divisor }),
 *   searchers: { evolve: EvolveSearcher },
 *   defaultSearcher: "evolve",
 * });
 * const widths = await convert(module, coarse, dummyInput, { divisor: 32 });
 * console.log(widths.hyperparameters.length);
 * ```
 */
export function registerMode<
  Config extends object,
  Space extends ModeSpace,
  Searchers extends ModeSearchers = ModeSearchers,
  Default extends keyof Searchers & string = keyof Searchers & string,
>(
  mode: ModeDescriptor<Config, Space, Searchers, Default>,
): ModeDescriptor<Config, Space, Searchers, Default> {
  register(mode);
  return mode;
}

/** As {@link registerMode}, whatever the types of the mode. */
export function register(mode: AnyMode): void {
  requireComplete(mode);
  const known = registered.get(mode.name);
  if (known !== undefined && known !== mode) {
    throw new TorchSearchError(
      "ERR_MODE_EXISTS",
      `There is a mode "${mode.name}" already; register yours by another name.`,
    );
  }
  registered.set(mode.name, mode);
}

function requireComplete(mode: AnyMode): void {
  if (!isRecord(mode)) throw expected("ERR_ARGUMENT", "an object", "mode", mode);
  const { name, defaults, rules, searchers, defaultSearcher } = mode;
  if (typeof name !== "string" || !/^[a-z][a-z0-9_]*$/.test(name)) {
    throw expected("ERR_ARGUMENT", "lower case letters, digits and underscores", "the mode's name", name);
  }
  if (!isFunction(mode.convert))
    throw expected("ERR_ARGUMENT", "a function", "the mode's convert", mode.convert);
  for (const [key, value] of Object.entries({ defaults, rules, searchers })) {
    if (!isRecord(value)) throw expected("ERR_ARGUMENT", "an object", `the mode's ${key}`, value);
  }
  const without = Object.keys(defaults).find((key) => !Object.hasOwn(rules, key));
  if (without !== undefined) {
    throw new TorchSearchError(
      "ERR_ARGUMENT",
      `The mode's config key "${without}" has a default but no rule.`,
    );
  }
  if (!Object.hasOwn(searchers, defaultSearcher)) {
    throw expected(
      "ERR_ARGUMENT",
      `one of the mode's searchers (${Object.keys(searchers).join(", ")})`,
      "defaultSearcher",
      defaultSearcher,
    );
  }
}

/**
 * The names of all modes, in the order of their registration.
 *
 * @example
 * ```ts
 * console.log(modeNames()); // ["fastnas", "autonas", "auto_quantize", "sparse_magnitude", "sparsegpt"]
 * ```
 */
export function modeNames(): string[] {
  return [...registered.keys()];
}

/**
 * The mode of a name that is known at run time only. Pass it to `convert`.
 *
 * @throws `ERR_UNKNOWN_MODE` naming the nearest one
 */
export function findMode(name: string): AnyMode {
  const mode = registered.get(name);
  if (mode !== undefined) return mode;
  const reason =
    typeof name === "string" ? suggestion(name, modeNames()) : `known are ${modeNames().join(", ")}`;
  throw new TorchSearchError("ERR_UNKNOWN_MODE", `unknown mode ${describe(name)}: ${reason}`);
}
