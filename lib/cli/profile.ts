import type { Command } from "commander";

import { Module } from "../model/module";
import { formatProfile } from "../profile/format";
import { parseInputSpec, randomInputs } from "../profile/input-spec";
import { computedMetricsOf } from "../profile/metrics";
import { profile } from "../profile/profile";
import { startProgressBar } from "../util/progress-bar";
import { wholeNumber } from "./options";
import { printJson } from "./output";

interface ProfileCommandOptions {
  input: string[];
  json?: boolean;
  latency: boolean;
  warmup: number;
  repeats: number;
  threads?: number;
  top: number;
  seed: number;
  device?: string;
  train?: boolean;
}

async function run(file: string, options: ProfileCommandOptions): Promise<void> {
  const specs = options.input.map(parseInputSpec);
  const module = await Module.load(file, options.device === undefined ? {} : { device: options.device });
  try {
    if (options.train) module.train();
    const total = options.latency ? options.warmup + options.repeats : null;
    const bar = startProgressBar("profiling", total);
    try {
      const result = await profile(module, randomInputs(specs, options.seed), {
        metrics: options.latency ? undefined : computedMetricsOf("profile"),
        warmup: options.warmup,
        repeats: options.repeats,
        threads: options.threads,
        onProgress: ({ phase, done }) => {
          if (phase === "latency") bar.update(done);
        },
      });
      bar.stop();
      if (options.json) printJson({ model: file, inputs: specs, ...result });
      else process.stdout.write(formatProfile(result, { top: options.top }));
    } finally {
      bar.stop();
    }
  } finally {
    module.close();
  }
}

/** Adds `torchsearch profile`. */
export function addProfileCommand(program: Command): void {
  program
    .command("profile")
    .description("show what a TorchScript model costs: parameters, FLOPs, bytes and latency, by operator")
    .argument("<model>", "a TorchScript file (torch.jit.save)")
    .requiredOption(
      "--input <shape...>",
      "an input's shape, such as 1x3x224x224, 1x16:int64 or mask=1x16:bool; once for each input",
    )
    .option("--json", "print one JSON document on standard output")
    .option("--no-latency", "do not time anything")
    .option("--warmup <count>", "forward passes before the first timed one", wholeNumber, 3)
    .option("--repeats <count>", "timed forward passes", wholeNumber, 20)
    .option("--threads <count>", "threads within an operator (default: LibTorch's own)", wholeNumber)
    .option("--top <count>", "operators to show, the costliest first", wholeNumber, 15)
    .option("--seed <number>", "of the random inputs", wholeNumber, 0)
    .option("--device <device>", "cpu or cuda (default: cpu)")
    .option("--train", "profile in training mode")
    .action(run);
}
