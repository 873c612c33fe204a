/** Training a model by a request: the work behind `torchsearch finetune` and `search --finetune-epochs`. */
import type { DataSource } from "../data/data-source";
import type { Group } from "../distributed/group";
import { TorchSearchError } from "../errors";
import { LOSS_TABLE, type Loss, lossFor } from "../evaluation/losses";
import { meanSquaredError, topKAccuracy } from "../evaluation/scores";
import type { ScoreFunction } from "../evaluation/types";
import { finetuneWith } from "../finetune/finetune";
import {
  DEFAULT_EPOCHS,
  type FinetuneOptions,
  readFinetuneOptions,
  type TrainingOptions,
} from "../finetune/options";
import type { EpochRecord } from "../finetune/training-state";
import { isExportedName } from "../model/file-format";
import type { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import { parseInputs } from "../profile/input-spec";
import type { SubnetConfig } from "../space/types";
import { type BatchRange, splitBatches, trainingLoader } from "./batch-range";
import { requireApart } from "./file-roles";
import type { FinetuneRequest } from "./finetune-request";
import { searchOf, trainAsSupernet } from "./finetune-supernet";
import { type FittingRequest, openFitting } from "./fitting-data";
import { loadModelFile, sampleInputsOf } from "./load-model";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import type { SettingsOf } from "./options/table";
import { once, requireOutput } from "./output";
import type { SearchContext } from "./search-context";

/** What `torchsearch finetune --json` prints. */
export interface FinetuneOutcome {
  model: string;
  output: string;
  checkpoint: string;
  /** Null without `--eval-data` and `--holdout`. */
  score: { title: string; before: number; after: number; bestEpoch: number } | null;
  steps: number;
  epochs: EpochRecord[];
  recalibratedBatches: number;
  /** With `--supernet`; else null. */
  supernet: { smallest: SubnetConfig; search: string } | null;
  seconds: number;
}

type TrainingContext = Pick<SearchContext, "args" | "signal" | "onProgress" | "say"> & {
  /** The program of the model's file that is trained, as {@link loadModelFile} takes it. */
  program?: string | null;
  /** The processes that train together; null for this one alone. */
  group?: Group | null;
};

/**
 * Trains, saves the model, and rates it where data for that were given.
 *
 * @returns null on another rank than 0, which saves nothing
 * @throws what training throws
 */
export async function trainRequest(
  request: FinetuneRequest,
  { args, signal, onProgress, say, program, group = null }: TrainingContext,
  asked: Partial<SettingsOf<"finetune">> = {},
): Promise<FinetuneOutcome | null> {
  const start = performance.now();
  requireApart(
    { "--output": request.output, "--checkpoint": request.checkpoint },
    {
      model: request.model,
      "--data": request.data,
      "--eval-data": request.evalData,
      "--teacher": request.teacher,
    },
  );
  const closing: { close(): void }[] = [];
  const opened = <T extends { close(): void }>(value: T): T => {
    closing.push(value);
    return value;
  };
  try {
    const { model, device, output } = request;
    const load = { signal, device };
    const chosen = program === undefined ? {} : { program };
    const module = opened(await loadModelFile(model, { ...load, ...chosen }));
    const writes = group === null || group.rank === 0;
    if (writes) await requireOutput(output);
    if (isExportedName(output) && (await sampleInputsOf(model, chosen)) === null) {
      throw new TorchSearchError(
        "ERR_EXPORTED_WRITE",
        `${output} would be an exported program, which is recorded on sample inputs, and ${model} has none. Give the file ` +
          "a name that ends with .pt, and save it as .pt2 with Module.save's option input.",
      );
    }
    if (parseInputs(request.input ?? [], module.signature).specs.length > 0)
      throw badOption("--input of finetune takes numbers, such as sr=16000: shapes come from the data.");
    const teacher =
      request.teacher === null
        ? null
        : opened(await loadModelFile(request.teacher, { ...load, program: request.teacherModel }));
    const data = await openFitting(dataRequest(request), module, "train", say);
    opened(data.loader);
    if (data.rows === "probabilities") {
      throw badOption(
        `Training takes class labels, but the rows of the targets "${data.target}" are probabilities: give the classes ` +
          "(argmax) as whole numbers, or take them as values with --loss meanSquaredError.",
      );
    }
    const loss = request.loss ?? lossFor(data.target === null || data.labels);
    const sayOnce = once(say);
    const split =
      request.holdout === null ? null : splitBatches(request.holdout, data.loader, request.batchSize);
    const training =
      split === null ? { loader: data.loader } : opened(await trainingLoader(split.used, request.batchSize));
    const scored = await scoreOf(
      request,
      { loss, data, heldOut: split?.heldOut ?? null, say: sayOnce },
      module,
      opened,
    );
    const { target, collect } = data;
    if (target === null && !(teacher !== null && request.alpha === 1)) {
      throw badOption(
        request.supernet
          ? "A supernet learns from targets, which the data lack: name their array with --target-array."
          : "The data have no targets: name their array with --target-array, or learn from the --teacher alone with --alpha 1.",
      );
    }
    say(
      `${model}: ${data.loader.samples - (split?.samples ?? 0)} samples in ${training.loader.batches} batches; loss: ${loss}` +
        `${teacher === null ? "" : ", with a teacher"}${scored === null ? "" : `; score: ${scored.title}`}.` +
        (split === null ? "" : ` ${split.samples} samples are held out.`),
    );
    const options: TrainingOptions & Pick<FinetuneOptions, "alpha" | "temperature"> = {
      ...trainingOptions(request),
      loss,
      outputKey: request.outputKey,
      classDimension: request.classDimension,
      onNotice: sayOnce,
      scoreFunc: scored?.score,
      signal,
      onProgress,
      group,
      ...(collect !== null && {
        collectFunc: collect as FinetuneOptions["collectFunc"],
        targetFunc: ((batch: Record<string, Tensor>) =>
          batch[target as string]) as FinetuneOptions["targetFunc"],
      }),
    };
    const trained = request.supernet
      ? await trainAsSupernet(module, { ...data, loader: training.loader }, request, options)
      : null;
    const result =
      trained ??
      (await finetuneWith(
        module,
        training.loader,
        { ...options, teacher, recalibrate: request.recalibrate },
        { command: [...args], cwd: process.cwd() },
      ));
    if (!writes) return null;
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
      supernet:
        trained === null ? null : { smallest: trained.smallest, search: await searchOf(output, asked) },
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** Checks the options of training before anything is loaded. @throws `ERR_CONFIG_VALUE` */
export function requireTrainable(settings: SettingsOf<"finetune">): void {
  // Which teacher it is doesn't matter here.
  const teacher = settings.teacher === null ? null : ({ native: null } as never);
  readFinetuneOptions({
    ...trainingOptions(settings),
    loss: settings.loss ?? lossFor(true),
    recalibrate: settings.recalibrate,
    teacher,
  });
}

/** The options of `finetune()` and `trainSupernet()` that settings have under the same names. */
function trainingOptions(
  request: SettingsOf<"finetune">,
): TrainingOptions & Pick<FinetuneOptions, "alpha" | "temperature"> {
  const { epochs, steps, alpha, temperature } = request;
  const { optimizer, learningRate, weightDecay, momentum, nesterov, schedule, warmupSteps } = request;
  const { clipNorm, labelSmoothing, shuffle, seed, checkpoint, dataShards } = request;
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
    dataShards,
    alpha: alpha ?? undefined,
    temperature: temperature ?? undefined,
  };
}

/**
 * The training data. Training itself shuffles, anew in each epoch, so its loader doesn't; only what is held out is chosen
 * in the order of the seed, as a search does it.
 */
function dataRequest({
  data,
  inputArrays,
  targetArray,
  batchSize,
  seed,
  images,
  dtype,
  loss,
  input,
  holdout,
  shuffle,
}: FinetuneRequest): FittingRequest {
  const order = { shuffle: holdout !== null && shuffle, seed };
  return { data, dtype, loss, input, inputArrays, targetArray, batchSize, images, ...order };
}

/** How epochs are rated; null without `--eval-data` and `--holdout`. */
async function scoreOf(
  request: FinetuneRequest,
  {
    loss,
    data,
    heldOut,
    say,
  }: { loss: Loss; data: OpenData; heldOut: BatchRange | null } & Pick<TrainingContext, "say">,
  module: Module,
  opened: <T extends { close(): void }>(value: T) => T,
): Promise<{ title: string; score: ScoreFunction } | null> {
  const { evalData, evalInputArrays, evalTargetArray } = request;
  if (evalData === null && heldOut === null) return null;
  let scored: Pick<OpenData, "target" | "collect"> & { loader: DataSource };
  if (evalData === null) scored = { ...data, loader: heldOut as BatchRange };
  else {
    const other = await openFitting(
      {
        ...dataRequest(request),
        shuffle: false,
        data: evalData,
        inputArrays: evalInputArrays,
        targetArray: evalTargetArray,
      },
      module,
      "eval",
      say,
    );
    opened(other.loader);
    scored = other;
  }
  if (scored.target === null) {
    throw badOption(
      heldOut === null
        ? "--eval-data has no targets: name their array with --eval-target-array."
        : "--holdout needs targets to score by: name their array with --target-array.",
    );
  }
  const { outputKey, classDimension } = request;
  const how = {
    collectFunc: scored.collect as never,
    target: scored.target,
    outputKey,
    classDimension,
    onNotice: say,
  };
  return loss === "meanSquaredError"
    ? { title: `-${LOSS_TABLE[loss].title}`, score: meanSquaredError(scored.loader, how) }
    : { title: "accuracy", score: topKAccuracy(scored.loader, how) };
}
