import { existsSync } from "node:fs";
import path from "node:path";

import { type Command, Option } from "commander";
import { readCheckpoint } from "../contract/checkpoint";
import type { Constraints } from "../contract/types";
import { TorchSearchError } from "../errors";
import { exampleBounds } from "../profile/metrics";
import { QUANTIZATION_FORMATS } from "../quantization/formats";
import { IMPORTANCE_CHOICES } from "../space/importance";
import { commandLine } from "./command-line";
import { addDataFiles } from "./data-files";
import { addImageOptions, type ImageOptions, imageRequest } from "./image-options";
import { untilInterrupted } from "./interrupt";
import { assignment, collected, constraint, positiveNumber, share, wholeNumber } from "./options";
import { printJson, say } from "./output";
import { MODES, SEARCHERS } from "./search-modes";
import { formatOutcome } from "./search-outcome";
import { startLiveLine } from "./search-progress";
import {
  completeRequest,
  REQUEST_DEFAULTS,
  recordedRequest,
  SCORES,
  type SearchRequest,
} from "./search-request";
import { runSearch } from "./search-run";

interface OutputOptions {
  json?: boolean;
  verbose?: boolean;
}

interface SearchCommandOptions extends OutputOptions, ImageOptions {
  data?: string[];
  inputArray?: string[];
  targetArray?: string;
  batchSize?: number;
  shuffle?: boolean;
  seed?: number;
  input?: string[];
  device?: string;
  mode?: string;
  channelDivisor?: number;
  importance?: string;
  pattern?: string;
  density?: number;
  format?: string[];
  exclude?: string[];
  modeSet?: Record<string, unknown>;
  constraint?: Constraints;
  searcher?: string;
  iterations?: number;
  set?: Record<string, unknown>;
  score?: string;
  topK?: number;
  maxBatches?: number;
  holdout?: number;
  evalData?: string[];
  evalInputArray?: string[];
  evalTargetArray?: string;
  recalibrate?: boolean;
  calibrationBatches?: number;
  latencyTable?: string;
  threads?: number;
  config?: string;
  checkpoint?: string;
  output?: string;
}

/** Runs a request with a live line, Ctrl-C and the outcome printed. */
async function perform(
  request: SearchRequest,
  args: readonly string[],
  { json = false, verbose = false }: OutputOptions,
): Promise<void> {
  const remedies = {
    resume: () =>
      existsSync(request.checkpoint)
        ? commandLine(["resume", path.relative(process.cwd(), request.checkpoint)])
        : null,
    again: commandLine(args),
  };
  const outcome = await untilInterrupted(remedies, async (signal) => {
    // Lines of a verbose search and a live line would overwrite each other.
    const live = verbose ? { onProgress: () => {}, stop: () => {} } : startLiveLine();
    const tell = (line: string): void => {
      live.stop();
      say(line);
    };
    try {
      return await runSearch(request, { args, signal, onProgress: live.onProgress, say: tell, verbose });
    } finally {
      live.stop();
    }
  });
  if (json) printJson(outcome);
  else process.stdout.write(formatOutcome(outcome));
}

async function search(model: string, options: SearchCommandOptions, command: Command): Promise<void> {
  // `--no-shuffle` and `--no-recalibrate` make commander set true where they are not given.
  const given = (name: "shuffle" | "recalibrate"): boolean | undefined =>
    command.getOptionValueSource(name) === "cli" ? options[name] : undefined;
  const searcherOptions = {
    ...(options.iterations !== undefined && { numIters: options.iterations }),
    ...(options.density !== undefined && { density: options.density }),
    ...options.set,
  };
  const modeOptions = {
    ...(options.pattern !== undefined && { pattern: options.pattern }),
    // A density below 1 of a pattern's own makes no sense; without a pattern it is what is asked for.
    ...(options.pattern === undefined && options.density !== undefined && { pattern: "unstructured" }),
    ...(options.format !== undefined && { formats: options.format }),
    ...(options.exclude !== undefined && { exclude: options.exclude }),
    ...options.modeSet,
  };
  const request = completeRequest(
    model,
    {
      data: options.data,
      inputArrays: options.inputArray,
      targetArray: options.targetArray,
      batchSize: options.batchSize,
      images: imageRequest(options),
      shuffle: given("shuffle"),
      seed: options.seed,
      input: options.input,
      device: options.device,
      mode: options.mode,
      channelDivisor: options.channelDivisor,
      importance: options.importance,
      modeOptions,
      constraints: options.constraint,
      searcher: options.searcher,
      searcherOptions,
      score: options.score,
      topK: options.topK,
      maxBatches: options.maxBatches,
      holdout: options.holdout,
      evalData: options.evalData,
      evalInputArrays: options.evalInputArray,
      evalTargetArray: options.evalTargetArray,
      recalibrate: given("recalibrate"),
      calibrationBatches: options.calibrationBatches,
      latencyTable: options.latencyTable,
      threads: options.threads,
      checkpoint: options.checkpoint,
      output: options.output,
    },
    options.config,
  );
  await perform(request, process.argv.slice(2), options);
}

async function resume(file: string, options: OutputOptions & { output?: string }): Promise<void> {
  const checkpoint = await readCheckpoint(file);
  if (checkpoint === null) {
    throw new TorchSearchError("ERR_CHECKPOINT_READ", `Checkpoint ${file} does not exist.`);
  }
  const annotations = checkpoint.settings.annotations as { command?: string[] } | undefined;
  const request = {
    ...recordedRequest(annotations, file),
    checkpoint: path.resolve(file),
    ...(options.output !== undefined && { output: path.resolve(options.output) }),
  };
  await perform(request, annotations?.command ?? ["resume", file], options);
}

const { batchSize, seed, channelDivisor, importance, mode, topK } = REQUEST_DEFAULTS;

/** Options that say which data, shared with `export`. */
export function addDataOptions(command: Command): Command {
  addDataFiles(command)
    .option("--batch-size <count>", `samples in a batch (default: ${batchSize})`, positiveNumber)
    .option("--no-shuffle", "take the samples in the files' order")
    .option("--seed <number>", `of the samples' order and of the search (default: ${seed})`, wholeNumber)
    .option(
      "--calibration-batches <count>",
      "batches for batch norms (default: as --max-batches)",
      positiveNumber,
    )
    .option("--no-recalibrate", "keep the full model's batch-norm statistics");
  return addImageOptions(command);
}

/** Options that say how the model becomes a search space, shared with `export`. */
export function addSpaceOptions(command: Command, modes: readonly string[]): Command {
  return command
    .option(
      "--input <shape...>",
      "the input that costs refer to, such as 1x3x224x224 (default: one sample of the data)",
      collected,
    )
    .option("--device <device>", "cpu or cuda (default: where the model's file says)")
    .addOption(new Option("--mode <name>", `what is searched (default: ${mode})`).choices(modes))
    .option(
      "--channel-divisor <number>",
      `widths are multiples of it (default: ${channelDivisor})`,
      positiveNumber,
    )
    .addOption(
      new Option("--importance <name>", `how channels are ranked (default: ${importance})`).choices(
        IMPORTANCE_CHOICES,
      ),
    );
}

/** Adds `torchsearch search` and `torchsearch resume`. */
export function addSearchCommands(program: Command): void {
  const command = program
    .command("search")
    .description("find the subnet with the best score within the constraints, and save it")
    .argument("<model>", "a TorchScript file (torch.jit.save)")
    .option(
      "--constraint <bound...>",
      `${exampleBounds(["widths"]).join(", ")} (ms), of auto_quantize ${exampleBounds(["formats"])[0]}: all of them hold`,
      constraint,
    );
  addDataOptions(command);
  addSpaceOptions(command, MODES)
    .option(
      "--pattern <pattern>",
      "of the sparse modes: N:M, of each M weights N stay, or unstructured (default: 2:4)",
    )
    .option(
      "--density <share>",
      "of the sparse modes: the share of weights that stays, unstructured, such as 40%",
      share,
    )
    .option(
      "--format <name...>",
      `of auto_quantize: formats to choose from, of ${Object.keys(QUANTIZATION_FORMATS).join(", ")} (default: int8 int4)`,
      collected,
    )
    .option("--exclude <layer...>", "of the sparse modes and auto_quantize: layers to leave alone", collected)
    .option(
      "--mode-set <key=value...>",
      "a further config key of the mode, such as skipFirst=true or depth=false",
      assignment,
    )
    .addOption(
      new Option(
        "--searcher <name>",
        "how to search (default: the mode's own: binary, evolve for autonas)",
      ).choices(SEARCHERS),
    )
    .option(
      "--iterations <count>",
      "candidates to try, of evolve, random and pareto (default: 5000)",
      positiveNumber,
    )
    .option("--set <key=value...>", "a config key of the searcher, such as populationSize=50", assignment)
    .addOption(
      new Option(
        "--score <name>",
        "how candidates are rated (default: auto: cross_entropy for labels, mse for other targets, kl for none)",
      ).choices(SCORES),
    )
    .option(
      "--top-k <k>",
      `a sample counts when its label is among the k best (default: ${topK})`,
      positiveNumber,
    )
    .option("--max-batches <count>", "batches to rate a candidate on (default: all)", positiveNumber)
    .option(
      "--holdout <share>",
      "keep this share of the batches from the search, and score its outcome on them, such as 20%",
      share,
    )
    .option("--eval-data <file...>", "score the outcome on these data, as --data", collected)
    .option("--eval-input-array <name...>", "the arrays of --eval-data that the model gets", collected)
    .option("--eval-target-array <name>", "the array of the targets of --eval-data")
    .option(
      "--latency-table <file>",
      "latencies of the target machine; measured here and written where it is missing (default: beside the output)",
    )
    .option("--threads <count>", "threads that latencies are of (default: LibTorch's own)", positiveNumber)
    .option("--config <file>", "JSON with any of these settings; options go before it")
    .option(
      "--checkpoint <file>",
      "saved to and resumed from (default: beside the output, *.search.safetensors)",
    )
    .option(
      "--output <file>",
      "where the result goes (default: MODEL.subnet.pt, of other modes MODEL.MODE.pt, in this folder)",
    )
    .option("--json", "print one JSON document on standard output")
    .option("--verbose", "say on standard error what the searcher does")
    .action(search);
  program
    .command("resume")
    .description("go on with a search from its checkpoint, as the command that started it said")
    .argument("<checkpoint>", "a file that torchsearch search saved")
    .option("--output <file>", "where the subnet goes (default: as the search said)")
    .option("--json", "print one JSON document on standard output")
    .option("--verbose", "say on standard error what the searcher does")
    .action(resume);
}
