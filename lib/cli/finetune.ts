/** `torchsearch finetune`. */
import { existsSync } from "node:fs";
import path from "node:path";

import type { Command } from "commander";

import { TorchSearchError } from "../errors";
import { LOSS_TABLE, type Loss, lossFor } from "../evaluation/losses";
import { meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { ScoreFunction } from "../evaluation/types";
import { finetuneWith } from "../finetune/finetune";
import { DEFAULT_EPOCHS, type FinetuneOptions, type TrainingOptions } from "../finetune/options";
import type { EpochRecord } from "../finetune/training-state";
import { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import type { SubnetConfig } from "../space/types";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { requireFittingSupernet, searchOf, trainAsSupernet } from "./finetune-supernet";
import { type FittingRequest, openFitting } from "./fitting-data";
import { untilInterrupted } from "./interrupt";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { mergeSettings } from "./options/settings";
import type { SettingsOf } from "./options/table";
import { printJson, requireOutput, say } from "./output";
import { startLiveLine } from "./search-progress";

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
  /** With `--supernet`; else null. */
  supernet: { smallest: SubnetConfig; search: string } | null;
  seconds: number;
}

/** Everything that training was asked for, complete. */
interface FinetuneRequest extends SettingsOf<"finetune"> {
  model: string;
  output: string;
  checkpoint: string;
}

async function run(model: string, given: GivenOf<"finetune">): Promise<void> {
  const { settings, asked } = mergeSettings("finetune", given);
  if (settings.data.length === 0) throw badOption("Training needs data: give --data.");
  requireFittingSupernet(asked);
  const output = settings.output ?? path.resolve(`${path.basename(model).replace(/\.pt$/, "")}.finetuned.pt`);
  const checkpoint = settings.checkpoint ?? `${output.replace(/\.pt$/, "")}.finetune.safetensors`;
  if (settings.resume && !existsSync(checkpoint)) {
    throw new TorchSearchError(
      "ERR_CHECKPOINT_READ",
      `Checkpoint ${checkpoint} does not exist: leave --resume out to start anew.`,
    );
  }
  const args = process.argv.slice(2);
  const remedies = {
    resume: () =>
      existsSync(checkpoint) ? commandLine(settings.resume ? args : [...args, "--resume"]) : null,
    again: commandLine(args.filter((arg) => arg !== "--resume")),
  };
  const request: FinetuneRequest = { ...settings, model: path.resolve(model), output, checkpoint };
  const outcome = await untilInterrupted(remedies, (signal) => train(request, asked, args, signal));
  if (settings.json) printJson(outcome);
  else process.stdout.write(formatOutcome(outcome));
}

async function train(
  request: FinetuneRequest,
  asked: GivenOf<"finetune">,
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
    const { model, device, output } = request;
    const load = { signal, ...(device !== null && { device }) };
    const module = opened(await Module.load(model, load));
    await requireOutput(output);
    const teacher = request.teacher === null ? null : opened(await Module.load(request.teacher, load));
    const data = await openFitting(dataRequest(request), module, "train", say);
    opened(data.loader);
    if (data.rows === "probabilities") {
      throw badOption(
        `Training takes class labels, but the rows of the targets "${data.target}" are probabilities: give the classes ` +
          "(argmax) as whole numbers, or take them as values with --loss meanSquaredError.",
      );
    }
    const loss = request.loss ?? lossFor(data.target === null || data.labels);
    const scored = await scoreOf(request, loss, module, opened);
    const { target, collect } = data;
    if (target === null && !(teacher !== null && request.alpha === 1)) {
      throw badOption(
        request.supernet
          ? "A supernet learns from targets, which the data lack: name their array with --target-array."
          : "The data have no targets: name their array with --target-array, or learn from the --teacher alone with --alpha 1.",
      );
    }
    say(
      `${model}: ${data.loader.samples} samples in ${data.loader.batches} batches; loss: ${loss}` +
        `${teacher === null ? "" : ", with a teacher"}${scored === null ? "" : `; score: ${scored.title}`}.`,
    );
    const options: TrainingOptions & Pick<FinetuneOptions, "alpha" | "temperature"> = {
      ...trainingOptions(request),
      loss,
      scoreFunc: scored?.score,
      signal,
      onProgress: live.onProgress,
      ...(collect !== null && {
        collectFunc: collect as FinetuneOptions["collectFunc"],
        targetFunc: ((batch: Record<string, Tensor>) =>
          batch[target as string]) as FinetuneOptions["targetFunc"],
      }),
    };
    const trained = request.supernet ? await trainAsSupernet(module, data, request, options) : null;
    const result =
      trained ??
      (await finetuneWith(
        module,
        data.loader,
        { ...options, teacher, recalibrate: request.recalibrate },
        { command: [...args], cwd: process.cwd() },
      ));
    live.stop();
    await module.save(output, { signal });
    return {
      model,
      output,
      checkpoint: request.checkpoint,
      score:
        scored === null
          ? null
          : {
              title: `${scored.title}${request.supernet ? ", mean of largest and smallest subnet" : ""}`,
              before: result.before as number,
              after: result.score as number,
              bestEpoch: result.bestEpoch as number,
            },
      steps: result.steps,
      epochs: result.epochs,
      recalibratedBatches: "recalibratedBatches" in result ? result.recalibratedBatches : 0,
      supernet: trained === null ? null : { smallest: trained.smallest, search: searchOf(output, asked) },
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    live.stop();
    for (const each of closing.reverse()) each.close();
  }
}

/** The options of `finetune()` and `trainSupernet()` that settings have under the same names. */
function trainingOptions(
  request: FinetuneRequest,
): TrainingOptions & Pick<FinetuneOptions, "alpha" | "temperature"> {
  const { epochs, steps, alpha, temperature } = request;
  const { optimizer, learningRate, weightDecay, momentum, nesterov, schedule, warmupSteps } = request;
  const { clipNorm, labelSmoothing, shuffle, seed, checkpoint } = request;
  return {
    epochs: steps === null ? (epochs ?? DEFAULT_EPOCHS) : epochs,
    steps,
    optimizer,
    learningRate,
    weightDecay,
    momentum,
    nesterov,
    schedule,
    warmupSteps,
    clipNorm,
    labelSmoothing,
    shuffle,
    seed,
    checkpoint,
    alpha: alpha ?? undefined,
    temperature: temperature ?? undefined,
  };
}

/** The training data; loaders must not shuffle, since training itself does, anew in each epoch. */
function dataRequest({
  data,
  inputArrays,
  targetArray,
  batchSize,
  seed,
  images,
  dtype,
  loss,
}: FinetuneRequest): FittingRequest {
  return { data, dtype, loss, inputArrays, targetArray, batchSize, shuffle: false, seed, images };
}

/** How epochs are rated; null without `--eval-data`. */
async function scoreOf(
  request: FinetuneRequest,
  loss: Loss,
  module: Module,
  opened: <T extends { close(): void }>(value: T) => T,
): Promise<{ title: string; score: ScoreFunction } | null> {
  const { evalData, evalInputArrays, evalTargetArray } = request;
  if (evalData === null) return null;
  const data = await openFitting(
    { ...dataRequest(request), data: evalData, inputArrays: evalInputArrays, targetArray: evalTargetArray },
    module,
    "eval",
    say,
  );
  opened(data.loader);
  if (data.target === null)
    throw badOption("--eval-data has no targets: name their array with --eval-target-array.");
  const how = { collectFunc: data.collect as never, target: data.target };
  return loss === "meanSquaredError"
    ? { title: `-${LOSS_TABLE[loss].title}`, score: meanSquaredError(data.loader, how) }
    : { title: "accuracy", score: topKAccuracy(data.loader, how) };
}

function formatOutcome({ output, score, epochs, supernet, seconds }: FinetuneOutcome): string {
  const rows = epochs.map((each) => [
    String(each.epoch),
    String(each.steps),
    each.loss.toFixed(4),
    each.score === null ? "" : each.score.toFixed(4),
  ]);
  const columns = ["epoch", "steps", "loss", "score"].map((title) => ({ title, align: "right" as const }));
  const rated =
    score === null
      ? ""
      : `${score.title}: ${score.before.toFixed(4)} before, ${score.after.toFixed(4)} after (epoch ${score.bestEpoch})\n`;
  const next = supernet === null ? "" : `Find its best subnet with\n  ${supernet.search}\n`;
  return `${formatTable(columns, rows)}${rated}Saved the model as ${output} after ${seconds.toFixed(1)} s\n${next}`;
}

/** Adds `torchsearch finetune`. */
export function addFinetuneCommand(program: Command): void {
  declare(program, "finetune", run);
}
