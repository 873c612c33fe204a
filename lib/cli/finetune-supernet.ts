/** `torchsearch finetune --supernet`: trains a model so that all its subnets are good. */

import type { DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import type { TrainingOptions } from "../finetune/options";
import { type SupernetResult, trainSupernet } from "../finetune/supernet";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import { commandLine } from "./command-line";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import { flagOf, type SettingsOf } from "./options/table";

type Settings = SettingsOf<"finetune">;

/** Settings that have an effect with `--supernet` only, and those that have none with it. */
const WITH_SUPERNET: readonly (keyof Settings)[] = [
  "randomSubnets",
  "smallest",
  "channelDivisor",
  "importance",
];
const WITHOUT_SUPERNET: readonly (keyof Settings)[] = ["teacher", "recalibrate"];

/** @param asked the settings that were given @throws `ERR_CLI_OPTION` for one that has no effect */
export function requireFittingSupernet(asked: Partial<Settings>): void {
  const { supernet = false } = asked;
  const useless = (supernet ? WITHOUT_SUPERNET : WITH_SUPERNET).find((key) => asked[key] !== undefined);
  if (useless === undefined) return;
  const flag = flagOf("finetune", useless);
  throw badOption(
    supernet ? `--supernet has no use for ${flag}: leave it out.` : `${flag} needs --supernet.`,
  );
}

/** Trains all subnets of a module in place. @throws what `convert()` and `trainSupernet()` throw */
export async function trainAsSupernet(
  module: Module,
  data: Pick<OpenData, "example"> & { loader: DataSource },
  { randomSubnets, smallest, channelDivisor, importance, seed }: Settings,
  options: TrainingOptions,
): Promise<SupernetResult> {
  const { signal } = options;
  const example = data.example();
  try {
    const space = await convert(module, "autonas", example, { channelDivisor, importance, seed, signal });
    try {
      return await trainSupernet(space, data.loader, { ...options, randomSubnets, smallest });
    } finally {
      space.close();
    }
  } finally {
    closeTensors(example);
  }
}

/** The command that searches the trained supernet. */
export function searchOf(output: string, { channelDivisor, data }: Partial<Settings>): string {
  const divisor =
    channelDivisor === undefined ? [] : [flagOf("search", "channelDivisor"), String(channelDivisor)];
  const mode = ["--mode", "autonas", "--importance", "none"];
  return commandLine([
    "search",
    output,
    ...mode,
    ...divisor,
    "--data",
    ...(data ?? []),
    "--constraint",
    "flops=60%",
  ]);
}
