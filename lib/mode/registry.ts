/** The modes by name: how `convert`, `search` and `export` find their parts. */
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import type { ModeSpace } from "../space/mode-space";
import { describe, expected, isFunction, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import type { ConfigRule } from "../util/rules";

/** A searcher as {@link search} uses it: any `BaseSearcher`. */
export interface ModeSearcher {
  /** Searches a space, and gives what won together with the searcher's state. */
  search(
    space: never,
    constraints: never,
    dummyInput?: unknown,
    config?: never,
  ): Promise<{ subnet: unknown; stateDict: unknown }>;
}

/**
 * A mode: one way to make a space of a module, and the searchers that search it.
 *
 * @typeParam Config the config of `convert`
 * @typeParam Space what `convert` gives
 */
export interface ModeDescriptor<Config extends object = object, Space extends ModeSpace = ModeSpace> {
  /** Lower case letters, digits and underscores. */
  readonly name: string;
  /** A line for people. */
  readonly description: string;
  /** All config keys with their defaults. */
  readonly defaults: Required<Config>;
  /** What each key accepts. */
  readonly rules: Readonly<Record<keyof Config & string, ConfigRule>>;
  /** Checks what concerns several keys. @throws `ERR_CONFIG_VALUE` */
  check?(config: Required<Config>): void;
  /**
   * Makes the space.
   *
   * @param config complete and checked
   * @param from the module's fingerprint before anything changed it
   */
  convert(module: Module, dummyInput: unknown, config: Required<Config>, from: string): Promise<Space>;
  /** The searchers by short name, such as `milp`. */
  readonly searchers: Readonly<Record<string, new () => ModeSearcher>>;
  /** The short name of the one that `search` takes unless it is told otherwise. */
  readonly defaultSearcher: string;
}

/** Any mode. */
export type AnyMode = ModeDescriptor;

const registered = new Map<string, AnyMode>();

/**
 * Makes a mode known by its name. Hand what it returns to `convert` for a typed config and space.
 *
 * @returns the mode
 * @throws `ERR_ARGUMENT` for an incomplete one; `ERR_MODE_EXISTS` when another has the name
 */
export function registerMode<Config extends object, Space extends ModeSpace>(
  mode: ModeDescriptor<Config, Space>,
): ModeDescriptor<Config, Space> {
  requireComplete(mode as AnyMode);
  const known = registered.get(mode.name);
  if (known !== undefined && known !== (mode as AnyMode)) {
    throw new TorchSearchError(
      "ERR_MODE_EXISTS",
      `There is a mode "${mode.name}" already; register yours by another name.`,
    );
  }
  registered.set(mode.name, mode as AnyMode);
  return mode;
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

/** The names of all modes, in the order of their registration. */
export function modeNames(): string[] {
  return [...registered.keys()];
}

/** @throws `ERR_UNKNOWN_MODE` naming the nearest one */
export function findMode(name: string): AnyMode {
  const mode = registered.get(name);
  if (mode !== undefined) return mode;
  const reason =
    typeof name === "string" ? suggestion(name, modeNames()) : `known are ${modeNames().join(", ")}`;
  throw new TorchSearchError("ERR_UNKNOWN_MODE", `unknown mode ${describe(name)}: ${reason}`);
}
