/**
 * The command's options, each in one row: flag, commands that have it, the setting that it gives, how its value is read
 * and checked, its default, and its help. The declarations for commander, the types of the settings, the keys of a
 * `--settings` file and the reference in docs/cli.md derive from it.
 *
 * To add an option, add a row to a file of `rows/`, and use its key where the command does its work.
 */

import type { ImagePreprocessing } from "../../data/image-preprocess";
import type { CommandName } from "./commands";
import type { Kind } from "./kinds";
import type { OptionRow } from "./row";
import { COMPRESS_OPTIONS } from "./rows/compress";
import { CONTROL_OPTIONS } from "./rows/control";
import { DATA_OPTIONS } from "./rows/data";
import { FILES_OPTIONS } from "./rows/files";
import { IMAGES_OPTIONS } from "./rows/images";
import { PROFILE_OPTIONS } from "./rows/profile";
import { SEARCH_OPTIONS } from "./rows/search";
import { SETUP_OPTIONS } from "./rows/setup";
import { SPACE_OPTIONS } from "./rows/space";
import { SUBNET_OPTIONS } from "./rows/subnet";
import { TRAINING_OPTIONS } from "./rows/training";
import { TRUST_OPTIONS } from "./rows/trust";

/** All options, in the order in which the help shows them. */
export const OPTIONS = [
  ...COMPRESS_OPTIONS,
  ...SUBNET_OPTIONS,
  ...DATA_OPTIONS,
  ...IMAGES_OPTIONS,
  ...SPACE_OPTIONS,
  ...CONTROL_OPTIONS,
  ...SEARCH_OPTIONS,
  ...TRAINING_OPTIONS,
  ...PROFILE_OPTIONS,
  ...SETUP_OPTIONS,
  ...FILES_OPTIONS,
  ...TRUST_OPTIONS,
] as const;

/** How images of a folder are prepared, and how their classes are numbered. */
export interface ImageRequest extends ImagePreprocessing {
  /** Subfolders by label. */
  classes?: readonly string[];
}

type Row = (typeof OPTIONS)[number];
type RowOf<Name extends CommandName, R = Row> = R extends { commands: readonly (infer Command)[] }
  ? Name extends Command
    ? R
    : never
  : never;
type ValueOf<R> = R extends { kind: Kind<infer Value>; default?: infer Default }
  ? null extends Default
    ? Value | null
    : Value
  : never;
type TopKey<Key> = Key extends `${string}.${string}` ? never : Key;
type HasImages<Keys> = Extract<Keys, `images.${string}`> extends never
  ? unknown
  : { images: ImageRequest | null };

/** The values of a command's options, by key; null where an option was not given and has no default. */
export type OptionsOf<Name extends CommandName> = {
  [R in RowOf<Name> as TopKey<R["key"]>]: ValueOf<R>;
} & HasImages<RowOf<Name>["key"]>;

/** The part of {@link OptionsOf} that a settings file may hold. */
export type SettingsOf<Name extends CommandName> = {
  [R in RowOf<Name> as R extends { terminalOnly?: true | undefined }
    ? true extends R["terminalOnly"]
      ? never
      : TopKey<R["key"]>
    : TopKey<R["key"]>]: ValueOf<R>;
} & HasImages<RowOf<Name>["key"]>;

/** The rows of a command, in the table's order. */
export function rowsOf(name: CommandName): OptionRow[] {
  return (OPTIONS as readonly OptionRow[]).filter(({ commands }) => commands.includes(name));
}

/** The flag that gives a setting, such as `--channel-divisor`. */
export function flagOf(name: CommandName, key: string): string {
  const found = rowsOf(name).find((each) => each.key === key);
  return found === undefined ? key : (found.flag.split(" ")[0] as string);
}

/** The settings of a command that was given no option. */
export function defaultsOf<Name extends CommandName>(name: Name): OptionsOf<Name> {
  const trust: readonly string[] = TRUST_OPTIONS.map(({ key }) => key); // declare() takes them out
  const top = rowsOf(name).filter(({ key }) => !key.includes(".") && !trust.includes(key));
  const defaults = top.map(({ key, default: value }) => [key, structuredClone(value)]);
  const images = rowsOf(name).some(({ key }) => key.startsWith("images.")) ? { images: null } : {};
  return { ...Object.fromEntries(defaults), ...images } as OptionsOf<Name>;
}
