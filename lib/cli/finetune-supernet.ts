/** `torchsearch finetune --supernet`: trains a model so that all its subnets are good. */
import { type Command, Option } from "commander";

import { closeTensors } from "../data/raw-tensor";
import type { TrainingOptions } from "../finetune/options";
import { type SupernetResult, trainSupernet } from "../finetune/supernet";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import { type Importance, WEIGHT_IMPORTANCES } from "../space/importance";
import { commandLine } from "./command-line";
import type { OpenData } from "./open-data";
import { badOption, positiveNumber, share, wholeNumber } from "./options";

/** The options that only a supernet has. */
export interface SupernetCommandOptions {
  supernet?: boolean;
  subnets?: number;
  smallest?: number;
  channelDivisor?: number;
  importance?: Importance | "none";
}

const OF_SUPERNETS = {
  subnets: "--subnets",
  smallest: "--smallest",
  channelDivisor: "--channel-divisor",
  importance: "--importance",
} as const;
/** What a supernet has no use for. */
const OF_OTHERS = { teacher: "--teacher", recalibrate: "--recalibrate" } as const;

/** Adds them. */
export function addSupernetOptions(command: Command): Command {
  return command
    .option("--supernet", "train all subnets at once, for a search with --mode autonas --importance none")
    .option(
      "--subnets <count>",
      "of a supernet: drawn in each step, beside the largest and the smallest (default: 2)",
      wholeNumber,
    )
    .option(
      "--smallest <share>",
      "of a supernet: no width below this share, such as 25% (default: the smallest choices)",
      share,
    )
    .option(
      "--channel-divisor <number>",
      "of a supernet: widths are multiples of it (default: 8)",
      positiveNumber,
    )
    .addOption(
      new Option("--importance <name>", "of a supernet: how channels are ranked, once (default: l1)").choices(
        [...WEIGHT_IMPORTANCES, "none"],
      ),
    );
}

/** @throws `ERR_CLI_OPTION` for an option that does nothing with, or without, `--supernet` */
export function requireFittingSupernet(options: SupernetCommandOptions & object): void {
  const given = options as Record<string, unknown>;
  const useless = Object.entries(options.supernet ? OF_OTHERS : OF_SUPERNETS).find(
    ([key]) => given[key] !== undefined,
  );
  if (useless === undefined) return;
  throw badOption(
    options.supernet
      ? `--supernet has no use for ${useless[1]}: leave it out.`
      : `${useless[1]} needs --supernet.`,
  );
}

/** Trains all subnets of a module in place. @throws what `convert()` and `trainSupernet()` throw */
export async function trainAsSupernet(
  module: Module,
  data: OpenData,
  { subnets, smallest, channelDivisor, importance, seed }: SupernetCommandOptions & { seed: number },
  settings: TrainingOptions,
): Promise<SupernetResult> {
  const { signal } = settings;
  const example = data.example();
  try {
    const space = await convert(module, "autonas", example, { channelDivisor, importance, seed, signal });
    try {
      return await trainSupernet(space, data.loader, { ...settings, randomSubnets: subnets, smallest });
    } finally {
      space.close();
    }
  } finally {
    closeTensors(example);
  }
}

/** The command that searches what was trained. */
export function searchOf(
  output: string,
  { channelDivisor }: SupernetCommandOptions,
  data: readonly string[],
): string {
  const divisor = channelDivisor === undefined ? [] : ["--channel-divisor", String(channelDivisor)];
  const mode = ["--mode", "autonas", "--importance", "none"];
  return commandLine(["search", output, ...mode, ...divisor, "--data", ...data, "--constraint", "flops=60%"]);
}
