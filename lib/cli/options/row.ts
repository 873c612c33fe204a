/** One row of the option table. */

import type { CommandName } from "./commands";
import type { Kind } from "./kinds";

/** One option, with the types of its commands, key and value. */
export interface TypedRow<Commands, Key, Value, Default, TerminalOnly> {
  /** As commander reads it: `--batch-size <count>`, `--data <file...>`, `--no-shuffle`. */
  readonly flag: string;
  /** The commands that have it. */
  readonly commands: Commands;
  /**
   * The setting that it gives, by which a settings file names it too. `images.crop` is the key `crop` in the record
   * `images`.
   */
  readonly key: Key;
  readonly kind: Kind<Value>;
  /** Null where the absence has a meaning of its own; missing where the option is required. */
  readonly default?: Default;
  /** The default in words, where the value does not say it. */
  readonly defaultText?: string;
  readonly help: string;
  /** True for options that a settings file can't hold. */
  readonly terminalOnly?: TerminalOnly;
}

/** Any option. */
export type OptionRow = TypedRow<readonly CommandName[], string, unknown, unknown, boolean>;

/** A row with the types of its parts. */
export function row<
  const Commands extends readonly CommandName[],
  const Key extends string,
  Value,
  const Default extends Value | null | undefined = undefined,
  const TerminalOnly extends true | undefined = undefined,
>(
  spec: TypedRow<Commands, Key, Value, Default, TerminalOnly>,
): TypedRow<Commands, Key, Value, Default, TerminalOnly> {
  return spec;
}
