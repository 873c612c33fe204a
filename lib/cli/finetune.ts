import { existsSync } from "node:fs";
import path from "node:path";

import { type Command, Option } from "commander";

import { TorchSearchError } from "../errors";
import { LOSSES, type Loss, lossFor } from "../evaluation/losses";
import { meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { ScoreFunction } from "../evaluation/types";
import { finetuneWith } from "../finetune/finetune";
import { type FinetuneOptions, OPTIMIZERS, SCHEDULES, type TrainingOptions } from "../finetune/options";
import type { EpochRecord } from "../finetune/training-state";
import { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import type { SubnetConfig } from "../space/types";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { addDataFiles } from "./data-files";
import {
  addSupernetOptions,
  requireFittingSupernet,
  type SupernetCommandOptions,
  searchOf,
  trainAsSupernet,
} from "./finetune-supernet";
import { addImageOptions, type ImageOptions, imageRequest } from "./image-options";
import { untilInterrupted } from "./interrupt";
import { type OpenData, openData } from "./open-data";
import { badOption, collected, number, positiveNumber, wholeNumber } from "./options";
import { printJson, requireOutput, say } from "./output";
import { startLiveLine } from "./search-progress";
import { type DataRequest, resolveEntry } from "./search-request";

interface FinetuneCommandOptions extends ImageOptions, SupernetCommandOptions {
  data: string[];
  inputArray?: string[];
  targetArray?: string;
  evalData?: string[];
  evalInputArray?: string[];
  evalTargetArray?: string;
  batchSize: number;
  shuffle: boolean;
  seed: number;
  device?: string;
  teacher?: string;
  alpha?: number;
  temperature?: number;
  epochs?: number;
  steps?: number;
  optimizer: (typeof OPTIMIZERS)[number];
  lr?: number;
  weightDecay?: number;
  momentum?: number;
  nesterov?: boolean;
  schedule: (typeof SCHEDULES)[number];
  warmupSteps?: number;
  clipNorm?: number;
  loss?: Loss;
  labelSmoothing?: number;
  recalibrate?: boolean;
  checkpoint?: string;
  resume?: boolean;
  output?: string;
  json?: boolean;
}

/** What `torchsearch finetune --json` prints. */
export interface FinetuneOutcome {
  model: string;
  output: string;
  checkpoint: string;
  /** Null without `--eval-data`. */
  score: { title: string; before: number; after: number; bestEpoch: number } | null;
  steps: number;
  epochs: EpochRecord[];
  recalibratedBatches: number;
  /** Of `--supernet`; else null. */
  supernet: { smallest: SubnetConfig; search: string } | null;
  seconds: number;
}

async function run(model: string, options: FinetuneCommandOptions): Promise<void> {
  requireFittingSupernet(options);
  const base = path.basename(model).replace(/\.pt$/, "");
  const output = path.resolve(options.output ?? `${base}.finetuned.pt`);
  const checkpoint = path.resolve(
    options.checkpoint ?? `${output.replace(/\.pt$/, "")}.finetune.safetensors`,
  );
  if (options.resume && !existsSync(checkpoint)) {
    throw new TorchSearchError(
      "ERR_CHECKPOINT_READ",
      `Checkpoint ${checkpoint} does not exist: leave --resume out to start anew.`,
    );
  }
  const args = process.argv.slice(2);
  const remedies = {
    resume: () =>
      existsSync(checkpoint) ? commandLine(options.resume ? args : [...args, "--resume"]) : null,
    again: commandLine(args.filter((arg) => arg !== "--resume")),
  };
  const outcome = await untilInterrupted(remedies, (signal) =>
    train(path.resolve(model), { ...options, output, checkpoint }, args, signal),
  );
  if (options.json) printJson(outcome);
  else process.stdout.write(formatOutcome(outcome));
}

async function train(
  model: string,
  options: FinetuneCommandOptions & { output: string; checkpoint: string },
  args: readonly string[],
  signal: AbortSignal,
): Promise<FinetuneOutcome> {
  const start = performance.now();
  const closing: { close(): void }[] = [];
  const opened = <T extends { close(): void }>(value: T): T => {
    closing.push(value);
    return value;
  };
  const live = startLiveLine();
  try {
    const { device } = options;
    const load = { signal, ...(device !== undefined && { device }) };
    const module = opened(await Module.load(model, load));
    await requireOutput(options.output);
    const teacher =
      options.teacher === undefined ? null : opened(await Module.load(path.resolve(options.teacher), load));
    const data = await openData(requestOf(options));
    opened(data.loader);
    const loss = options.loss ?? lossFor(data.target === null || data.labels);
    const scored = await scoreOf(options, loss, opened);
    const { target, collect } = data;
    if (target === null && !(teacher !== null && options.alpha === 1)) {
      throw badOption(
        options.supernet
          ? "A supernet learns from targets, which the data lack: name their array with --target-array."
          : "The data have no targets: name their array with --target-array, or learn from the --teacher alone with --alpha 1.",
      );
    }
    say(
      `${model}: ${data.loader.samples} samples in ${data.loader.batches} batches; loss: ${loss}` +
        `${teacher === null ? "" : ", with a teacher"}${scored === null ? "" : `; score: ${scored.title}`}.`,
    );
    const settings: TrainingOptions & Pick<FinetuneOptions, "alpha" | "temperature"> = {
      epochs: options.steps === undefined ? (options.epochs ?? 1) : (options.epochs ?? null),
      steps: options.steps ?? null,
      optimizer: options.optimizer,
      learningRate: options.lr,
      weightDecay: options.weightDecay,
      momentum: options.momentum,
      nesterov: options.nesterov,
      schedule: options.schedule,
      warmupSteps: options.warmupSteps,
      clipNorm: options.clipNorm,
      loss,
      labelSmoothing: options.labelSmoothing,
      alpha: options.alpha,
      temperature: options.temperature,
      shuffle: options.shuffle,
      seed: options.seed,
      scoreFunc: scored?.score,
      checkpoint: options.checkpoint,
      signal,
      onProgress: live.onProgress,
      ...(collect !== null && {
        collectFunc: collect as FinetuneOptions["collectFunc"],
        targetFunc: ((batch: Record<string, Tensor>) =>
          batch[target as string]) as FinetuneOptions["targetFunc"],
      }),
    };
    const trained = options.supernet ? await trainAsSupernet(module, data, options, settings) : null;
    const result =
      trained ??
      (await finetuneWith(
        module,
        data.loader,
        { ...settings, teacher, recalibrate: options.recalibrate },
        { command: [...args], cwd: process.cwd() },
      ));
    live.stop();
    await module.save(options.output, { signal });
    return {
      model,
      output: options.output,
      checkpoint: options.checkpoint,
      score:
        scored === null
          ? null
          : {
              title: `${scored.title}${options.supernet ? ", mean of largest and smallest subnet" : ""}`,
              before: result.before as number,
              after: result.score as number,
              bestEpoch: result.bestEpoch as number,
            },
      steps: result.steps,
      epochs: result.epochs,
      recalibratedBatches: "recalibratedBatches" in result ? result.recalibratedBatches : 0,
      supernet:
        trained === null
          ? null
          : { smallest: trained.smallest, search: searchOf(options.output, options, options.data) },
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    live.stop();
    for (const each of closing.reverse()) each.close();
  }
}

function requestOf(options: FinetuneCommandOptions, evaluation = false): DataRequest {
  const files = (evaluation ? options.evalData : options.data) ?? [];
  return {
    data: files.map((entry) => resolveEntry(entry)),
    inputArrays: (evaluation ? options.evalInputArray : options.inputArray) ?? null,
    targetArray: (evaluation ? options.evalTargetArray : options.targetArray) ?? null,
    batchSize: options.batchSize,
    // Training shuffles by itself, anew in each epoch.
    shuffle: false,
    seed: options.seed,
    images: imageRequest(options) ?? null,
  };
}

/** How epochs are rated; null without `--eval-data`. */
async function scoreOf(
  options: FinetuneCommandOptions,
  loss: string,
  opened: <T extends { close(): void }>(value: T) => T,
): Promise<{ title: string; score: ScoreFunction } | null> {
  if (options.evalData === undefined) return null;
  const data: OpenData = await openData(requestOf(options, true), "eval");
  opened(data.loader);
  if (data.target === null)
    throw badOption("--eval-data has no targets: name their array with --eval-target-array.");
  const how = { collectFunc: data.collect as never, target: data.target };
  return loss === "meanSquaredError"
    ? { title: "-squared error", score: meanSquaredError(data.loader, how) }
    : { title: "accuracy", score: topKAccuracy(data.loader, how) };
}

function formatOutcome({ output, score, epochs, supernet, seconds }: FinetuneOutcome): string {
  const rows = epochs.map(({ epoch, steps, loss, score }) => [
    String(epoch),
    String(steps),
    loss.toFixed(4),
    score === null ? "" : score.toFixed(4),
  ]);
  const columns = ["epoch", "steps", "loss", "score"].map((title) => ({ title, align: "right" as const }));
  const told =
    score === null
      ? ""
      : `${score.title}: ${score.before.toFixed(4)} before, ${score.after.toFixed(4)} after (epoch ${score.bestEpoch})\n`;
  const next = supernet === null ? "" : `Find its best subnet with\n  ${supernet.search}\n`;
  return `${formatTable(columns, rows)}${told}Saved the model as ${output} after ${seconds.toFixed(1)} s\n${next}`;
}

/** Adds `torchsearch finetune`. */
export function addFinetuneCommand(program: Command): void {
  const command = program
    .command("finetune")
    .description("train a model, such as the subnet of a search, and save it")
    .argument("<model>", "a TorchScript file (torch.jit.save)");
  addDataFiles(command, { required: true })
    .option(
      "--eval-data <file...>",
      "score the model on these data, as --data, before and after each epoch, and keep the best weights",
      collected,
    )
    .option("--eval-input-array <name...>", "the arrays of --eval-data that the model gets", collected)
    .option("--eval-target-array <name>", "the array of the targets of --eval-data")
    .option("--batch-size <count>", "samples in a batch", positiveNumber, 32)
    .option("--no-shuffle", "take the samples in the files' order, and not in another one each epoch")
    .option("--seed <number>", "of the samples' order and of dropout", wholeNumber, 0)
    .option("--device <device>", "cpu or cuda (default: where the model's file says)")
    .option("--teacher <file>", "a TorchScript file, such as the full model, to learn from too")
    .option(
      "--alpha <share>",
      "of the teacher in the loss, 0 to 1; 1 needs no targets (default: 0.5; of a supernet, whose largest subnet is the teacher, 1)",
      number,
    )
    .option(
      "--temperature <number>",
      "that the teacher's part is softened by (default: 4; of a supernet 1)",
      number,
    )
    .option("--epochs <count>", "passes over the data (default: 1)", positiveNumber)
    .option("--steps <count>", "batches to train on, instead of --epochs", positiveNumber)
    .addOption(
      new Option("--optimizer <name>", "how weights are changed").choices(OPTIMIZERS).default("adamw"),
    )
    .option("--lr <rate>", "the largest learning rate (default: 1e-3 for adamw, 1e-2 for sgd)", number)
    .option(
      "--weight-decay <number>",
      "not of biases and norms (default: 0.01 for adamw, 1e-4 for sgd)",
      number,
    )
    .option("--momentum <number>", "of sgd (default: 0.9)", number)
    .option("--nesterov", "Nesterov's momentum, of sgd")
    .addOption(
      new Option("--schedule <name>", "how the learning rate runs").choices(SCHEDULES).default("cosine"),
    )
    .option("--warmup-steps <count>", "over which the learning rate rises (default: 0)", wholeNumber)
    .option("--clip-norm <number>", "largest norm of all gradients together (default: no limit)", number)
    .addOption(
      new Option(
        "--loss <name>",
        "what is minimized (default: crossEntropy for labels, meanSquaredError for others)",
      ).choices(LOSSES),
    )
    .option("--label-smoothing <share>", "of each label, spread over all classes (default: 0)", number)
    .option("--recalibrate", "average batch norms' statistics over the data in the end");
  addSupernetOptions(command);
  addImageOptions(command)
    .option(
      "--checkpoint <file>",
      "saved to and resumed from (default: beside the output, *.finetune.safetensors)",
    )
    .option("--resume", "go on from the checkpoint, which must be there")
    .option("--output <file>", "where the model goes (default: MODEL.finetuned.pt in this folder)")
    .option("--json", "print one JSON document on standard output")
    .action(run);
}
