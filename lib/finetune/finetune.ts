import { type DataSource, isDataSource } from "../data/data-source";
import { beginTraining } from "../distributed/shared-training";
import { TorchSearchError } from "../errors";
import { exclusively } from "../evaluation/model-guard";
import { requireNativeHandle } from "../evaluation/native-engine";
import { Module } from "../model/module";
import { createTrainer } from "../native/trainer";
import { expected } from "../util/check";
import {
  alphaOf,
  DISTILLATION_DEFAULTS,
  type FinetuneOptions,
  nativeOptions,
  outputSettings,
  readFinetuneOptions,
} from "./options";
import { recordTraining } from "./record-training";
import { resultOf, type TrainingResult } from "./training-result";
import { TrainingRun } from "./training-run";
import { lengthOf } from "./training-state";

/** The outcome of training a module. */
export interface FinetuneResult extends TrainingResult {
  /** Batches that the batch norms' statistics were averaged over after training; 0 for none. */
  recalibratedBatches: number;
}

/**
 * Trains a module's weights natively and in place: `save()` and `fingerprint()` of the module see the new weights, and
 * its history has a record of the training. It is meant for the subnet of a search, with the full model as `teacher`.
 *
 * The forward pass runs in training mode; the module's own mode is restored afterwards. A traced module has no mode. It
 * is trained with batch norms on batch statistics, and with dropout where it was traced with dropout operators. With a
 * `TensorDataLoader` and no `collectFunc`, `targetFunc` or `lossFunc`, JavaScript is not called for each batch.
 *
 * Everything random (the samples' order, dropout) follows from `seed` and the number of the step. LibTorch's own
 * generators keep their state. Training that was interrupted and is resumed from its `checkpoint` therefore ends with
 * the same bits as an uninterrupted run, on a CPU with the same number of threads.
 *
 * With a `scoreFunc`, the final weights are those of the best epoch; the beginning counts as one. After an error, the
 * weights are as follows. An abort leaves the current weights, and a checkpoint where one was asked for. A loss, score or
 * weight that is not finite brings back the best weights so far (without a `scoreFunc`, those of the last whole epoch).
 * Any other error leaves the current weights.
 *
 * @param data batches, whose first element is the model's input and whose second one is the target
 * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_ARGUMENT`; `ERR_FROZEN`, `ERR_NO_PARAMETERS`, `ERR_DTYPE`
 *   for weights of half precision, `ERR_UNSUPPORTED_GRAPH`; `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT` for
 *   targets that don't fit; `ERR_GRADIENT`, `ERR_LOSS_NAN`, `ERR_LOSS_FAILED`, `ERR_SCORE_NAN`, `ERR_SCORE_FAILED`;
 *   `ERR_CHECKPOINT_…`; `ERR_GROUP_…`; `ERR_BUSY`, `ERR_CLOSED`, `ERR_ABORTED`
 *
 * @example
 * ```ts
 * await finetune(module, data, { steps: 3, learningRate: 1e-3 });
 * await module.save("finetuned.pt");
 * ```
 */
export async function finetune(
  module: Module,
  data: DataSource,
  options: FinetuneOptions | null = null,
): Promise<FinetuneResult> {
  return finetuneWith(module, data, options, {});
}

/** As {@link finetune}, with annotations that the checkpoint records. */
export async function finetuneWith(
  module: Module,
  data: DataSource,
  given: FinetuneOptions | null,
  annotations: Record<string, unknown>,
): Promise<FinetuneResult> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches", "data", data);
  const options = readFinetuneOptions(given);
  const { teacher, temperature, lossFunc, recalibrate, scoreFunc, signal, onProgress } = options;
  if (teacher === (module as unknown)) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      "a model can't be its own teacher; load the full model as a module of its own",
    );
  }
  const alpha = alphaOf(options);
  const length = lengthOf(data, options);
  return exclusively(module, async () => {
    const from = await module.fingerprint({ signal });
    const names = module.namedParameters().map(({ name }) => name);
    const native = nativeOptions(options, length.totalSteps, names);
    const { teacherOutputs, classDimension } = options;
    const teacherView = teacherOutputs && { ...teacherOutputs, classDimension };
    const distillation = { alpha, temperature: temperature ?? DISTILLATION_DEFAULTS.temperature };
    const trainer = await createTrainer(
      module.native,
      {
        ...native,
        ...distillation,
        ...(teacher && { teacher: requireNativeHandle(teacher, "A teacher") }),
        ...(teacherView && { teacherView }),
      },
      { signal },
    );
    try {
      const settings = {
        ...native,
        ...distillation,
        ...outputSettings(options),
        loss: options.loss,
        epochs: length.epochs,
        shuffle: options.shuffle,
        recalibrate,
        customLoss: lossFunc !== null,
        ...(teacherView && { teacherView }),
        teacher: teacher === null ? null : await teacher.fingerprint({ signal }),
      };
      const training = { kind: "finetune", model: from, settings, data, scoreFunc } as const;
      const share = await beginTraining(options.group, training, signal);
      const context = { signal, onProgress, silent: true };
      const run = new TrainingRun(
        {
          share,
          module,
          rate: scoreFunc && ((when) => share.rate(module, scoreFunc, when, context)),
          trainer,
          data,
          length,
          settings,
          annotations,
          needsTarget: alpha < 1,
          picksOutput: teacherOutputs === null || alpha < 1,
          lossFunc,
          recalibrate,
        },
        options,
      );
      await run.run();
      const { recalibratedBatches, steps, epochs, before, score } = run.state;
      recordTraining(module, {
        from: run.from ?? from,
        config: settings,
        result: { steps, epochs: epochs.length, before, score },
      });
      return { ...resultOf(run.state, trainer), recalibratedBatches };
    } finally {
      trainer.close();
    }
  });
}
