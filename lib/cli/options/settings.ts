/** Settings files: JSON with the settings of a command, by the keys of the option table. */
import path from "node:path";

import { isRecord } from "../../util/check";
import { checkConfig } from "../../util/complete-config";
import { jsonDepth, MAX_JSON_DEPTH } from "../../util/json-depth";
import { readRegularTextSync } from "../../util/regular-file";
import { type ConfigRule, orNull, plainRules } from "../../util/rules";
import { requireFiles } from "../stored-files";
import type { CommandName } from "./commands";
import type { GivenOf } from "./declare";
import { badOption } from "./kinds";
import type { OptionRow } from "./row";
import { defaultsOf, type OptionsOf, rowsOf } from "./table";

/** Reads a file that holds one JSON object. @throws `ERR_CLI_OPTION`, `ERR_FILE_NOT_FOUND` */
export function readJson(file: string): Record<string, unknown> {
  requireFiles({ "The JSON file": [file] });
  let value: unknown;
  try {
    const text = readRegularTextSync(file);
    // Messages show values, and JSON.stringify calls itself.
    if (jsonDepth(text) > MAX_JSON_DEPTH) throw new Error("its values are nested too deeply");
    value = JSON.parse(text);
  } catch (error) {
    throw badOption(`${file} can't be read as JSON: ${(error as Error).message}`);
  }
  if (!isRecord(value)) throw badOption(`${file} must hold a JSON object.`);
  return value;
}

/**
 * Reads a settings file. Paths in it are relative to its folder.
 *
 * @throws `ERR_CLI_OPTION` naming the nearest known key, or the expected value
 */
export function readSettings<Name extends CommandName>(name: Name, file: string): GivenOf<Name> {
  const settings = checkSettings(name, readJson(file), file);
  const folder = path.dirname(path.resolve(file));
  for (const { key, kind } of fileRows(name)) {
    const value = settings[key];
    if (value === undefined || value === null) continue;
    settings[key] = kind.resolve?.(value, (entry) => path.resolve(folder, entry)) ?? value;
  }
  return settings as GivenOf<Name>;
}

/** Checks settings by the table. @param where begins the messages @throws `ERR_CLI_OPTION` */
export function checkSettings(
  name: CommandName,
  settings: Record<string, unknown>,
  where: string,
): Record<string, unknown> {
  const words = {
    key: "key",
    show: (value: unknown) => JSON.stringify(value),
    error: (_code: string, message: string) => badOption(`${where}: ${message}`),
  };
  const rows = fileRows(name);
  const images = rows.filter(({ key }) => key.startsWith("images."));
  const imageRules = rulesOf(images, (key) => key.slice("images.".length));
  const checked = checkConfig(
    settings,
    {
      ...rulesOf(rows.filter(({ key }) => !key.includes("."))),
      ...(images.length > 0 && { images: orNull(plainRules.record) }),
    },
    words,
  );
  if (!isRecord(checked.images)) return checked;
  return { ...checked, images: checkConfig(checked.images, imageRules, { ...words, prefix: "images." }) };
}

/**
 * The settings of a command: options come before its settings file, and that before the defaults. Records of the same
 * key are merged.
 *
 * @throws `ERR_CLI_OPTION`
 */
export function mergeSettings<Name extends CommandName>(
  name: Name,
  given: GivenOf<Name>,
): { settings: OptionsOf<Name>; asked: GivenOf<Name> } {
  const file = (given as { settings?: string | null }).settings;
  const fromFile = file === undefined || file === null ? {} : readSettings(name, file);
  const asked: Record<string, unknown> = { ...fromFile, ...given };
  for (const [key, value] of Object.entries(fromFile)) {
    const option = (given as Record<string, unknown>)[key];
    // The constraints of the command line replace those of the file as a whole.
    if (key !== "constraints" && isRecord(value) && isRecord(option)) asked[key] = { ...value, ...option };
  }
  return {
    settings: { ...defaultsOf(name), ...asked } as OptionsOf<Name>,
    asked: asked as GivenOf<Name>,
  };
}

/** The rows that a settings file may use. */
export function fileRows(name: CommandName): OptionRow[] {
  return rowsOf(name).filter(({ terminalOnly }) => terminalOnly !== true);
}

/** What a settings file may hold for a row. */
export function ruleOf({ kind, default: value }: OptionRow): ConfigRule {
  return value === null ? orNull(kind.rule) : kind.rule;
}

function rulesOf(
  rows: readonly OptionRow[],
  nameOf: (key: string) => string = (key) => key,
): Record<string, ConfigRule> {
  return Object.fromEntries(
    rows.map((row) => [nameOf(row.key), row.key.includes(".") ? row.kind.rule : ruleOf(row)]),
  );
}
