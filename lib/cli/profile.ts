/** `torchsearch profile`. */

import type { Command } from "commander";
import { formatProfile } from "../profile/format";
import { computedMetricsOf } from "../profile/metrics";
import { profile } from "../profile/profile";
import { startProgressBar } from "../util/progress-bar";
import { describedInputs } from "./described-inputs";
import { loadModelFile } from "./load-model";
import { declare, type GivenOf } from "./options/declare";
import { defaultsOf } from "./options/table";
import { print, printJson } from "./output";

async function run(file: string, given: GivenOf<"profile">): Promise<void> {
  const options = { ...defaultsOf("profile"), ...given };
  const module = await loadModelFile(file, options);
  try {
    const { inputs, described } = await describedInputs(file, options.input, module, options.seed);
    if (options.train) module.train();
    const total = options.latency ? options.warmup + options.repeats : null;
    const bar = startProgressBar("profiling", total);
    try {
      const result = await profile(module, inputs, {
        metrics: options.latency ? undefined : computedMetricsOf("profile"),
        warmup: options.warmup,
        repeats: options.repeats,
        threads: options.threads ?? undefined,
        onProgress: ({ phase, done }) => {
          if (phase === "latency") bar.update(done);
        },
      });
      bar.stop();
      if (options.json) printJson({ model: file, inputs: described, ...result });
      else print(formatProfile(result, { top: options.top }));
    } finally {
      bar.stop();
    }
  } finally {
    module.close();
  }
}

/** Adds `torchsearch profile`. */
export function addProfileCommand(program: Command): void {
  declare(program, "profile", run);
}
