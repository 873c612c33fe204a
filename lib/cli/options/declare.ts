/** Declares a command and its options to commander, and reads what was given. */
import path from "node:path";

import { type Command, Option } from "commander";
import { takeTrust } from "../load-model";
import { COMMANDS, type CommandName, EARLIER_FLAGS } from "./commands";
import { badOption, type Kind } from "./kinds";
import type { OptionRow } from "./row";
import { type OptionsOf, rowsOf } from "./table";

/** The options that were given, by key. */
export type GivenOf<Name extends CommandName> = Partial<OptionsOf<Name>>;

/**
 * Adds a command with its options from the table.
 *
 * @param run does the work; `argument` is the command's first argument, or empty for a command without one
 */
export function declare<Name extends CommandName>(
  program: Command,
  name: Name,
  run: (argument: string, given: GivenOf<Name>) => Promise<void> | void,
): void {
  const { help, argument, examples } = COMMANDS[name];
  const command = program.command(name).description(help);
  if (argument !== null) command.argument(`<${argument.name}>`, argument.help);
  const rows = rowsOf(name);
  const options = rows.map((row) => optionOf(row));
  for (const option of options) command.addOption(option);
  for (const each of EARLIER_FLAGS) if (each.command === name) command.addOption(refused(each));
  const lines = examples.map((example) => `  $ torchsearch ${example}`);
  command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
  command.action((first: unknown) => {
    const values = given<Name>(command, rows, options);
    takeTrust(values);
    return run(argument === null ? "" : String(first), values);
  });
}

function optionOf(row: OptionRow): Option {
  const { flag, kind } = row;
  const option = new Option(flag, describe(row));
  if (kind.choices !== undefined) option.choices(kind.choices);
  if (flag.includes("<")) option.argParser(kind.read);
  return option.makeOptionMandatory(row.default === undefined);
}

function describe(row: OptionRow): string {
  const shown = row.defaultText ?? defaultText(row.default);
  return shown === null ? row.help : `${row.help} (default: ${shown})`;
}

/** A default in words; null for one that needs none. */
export function defaultText(value: unknown): string | null {
  return typeof value === "number" || typeof value === "string" ? String(value) : null;
}

function refused({ command, earlier, present }: (typeof EARLIER_FLAGS)[number]): Option {
  return new Option(`${earlier} <value...>`).hideHelp().argParser(() => {
    throw badOption(`${earlier} of ${command} is now ${present}.`);
  });
}

/** The given values by key; those of `images.crop` and the like in records. */
function given<Name extends CommandName>(
  command: Command,
  rows: readonly OptionRow[],
  options: readonly Option[],
): GivenOf<Name> {
  const values: Record<string, unknown> = {};
  for (const [at, { key, kind }] of rows.entries()) {
    const name = (options[at] as Option).attributeName();
    // Commander itself sets what `--no-…` options negate.
    if (command.getOptionValueSource(name) !== "cli") continue;
    const value = resolved(kind, command.getOptionValue(name));
    const [top = key, inner] = key.split(".");
    const earlier = values[top] as Record<string, unknown> | undefined;
    if (inner !== undefined) values[top] = { ...earlier, [inner]: value };
    // A record of further keys goes before the options that give one key each.
    else values[top] = earlier === undefined ? value : { ...earlier, ...(value as object) };
  }
  return values as GivenOf<Name>;
}

function resolved(kind: Kind<unknown>, value: unknown): unknown {
  return kind.resolve?.(value, (name) => path.resolve(name)) ?? value;
}
