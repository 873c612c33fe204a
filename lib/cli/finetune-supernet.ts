/** `torchsearch finetune --supernet`: trains a model so that all its subnets are good. */

import path from "node:path";

import type { DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import type { TrainingOptions } from "../finetune/options";
import { type SupernetResult, trainSupernet } from "../finetune/supernet";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import { commandLine } from "./command-line";
import { trustArguments } from "./load-model";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import { defaultsOf, flagOf, type OptionsOf, type SettingsOf } from "./options/table";
import { argumentsFor, classesArguments } from "./options/written";

type Settings = SettingsOf<"finetune">;

/** Settings that have an effect with `--supernet` only, and those that have none with it. */
const WITH_SUPERNET: readonly (keyof Settings)[] = [
  "randomSubnets",
  "smallest",
  "channelDivisor",
  "importance",
];
const WITHOUT_SUPERNET: readonly (keyof Settings)[] = ["teacher", "teacherModel", "recalibrate"];

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

/** Settings of `finetune` that mean the same in the search that follows. */
const SHARED = [
  "data",
  "inputArrays",
  "targetArray",
  "dtype",
  "evalData",
  "evalInputArrays",
  "evalTargetArray",
  "holdout",
  "images",
  "input",
  "device",
  "outputKey",
  "classDimension",
] as const satisfies readonly (keyof Settings)[];

/**
 * The command that searches the trained supernet, complete.
 *
 * @param asked the settings that were given
 */
export async function searchOf(output: string, asked: Partial<Settings>): Promise<string> {
  const shared = Object.fromEntries(SHARED.map((key) => [key, asked[key] ?? null]));
  // The same batches as in training are held out.
  const { batchSize, seed, shuffle } = { ...defaultsOf("finetune"), ...asked };
  const batches = asked.holdout == null ? {} : { batchSize, seed, shuffle };
  const settings = {
    ...shared,
    ...batches,
    ...(asked.loss === "meanSquaredError" && { score: asked.loss }),
  };
  return commandLine([
    "search",
    path.relative(process.cwd(), output),
    ...["--mode", "autonas", "--importance", "none"],
    ...argumentsFor("search", { channelDivisor: asked.channelDivisor }),
    ...argumentsFor("search", settings as Partial<OptionsOf<"search">>),
    ...(await classesArguments(asked.images ?? null, output)),
    ...["--constraint", "flops=60%"],
    ...trustArguments(),
  ]);
}
