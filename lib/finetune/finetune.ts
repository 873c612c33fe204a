import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { exclusively } from "../evaluation/model-guard";
import { requireNativeHandle } from "../evaluation/native-engine";
import { Module } from "../model/module";
import { addon } from "../native/addon";
import { callNative } from "../native/call";
import { expected } from "../util/check";
import { alphaOf, type FinetuneOptions, nativeOptions, readFinetuneOptions } from "./options";
import { resultOf, type TrainingResult } from "./training-result";
import { lengthOf, TrainingRun } from "./training-run";

/** What came of training a module. */
export interface FinetuneResult extends TrainingResult {
  /** Batches that the batch norms' statistics were averaged over in the end; 0 for none. */
  recalibratedBatches: number;
}

/**
 * Trains a module's weights natively, in place: whoever holds the module, saves it or takes its fingerprint sees what
 * was learned. Meant for the subnet of a search, with the full model as `teacher`.
 *
 * The forward pass is in training mode, and the module in the mode that it was in afterwards. A traced module, which
 * knows no mode, is trained with batch norms on batch statistics and dropout where it was traced with dropout operators.
 * With a `TensorDataLoader` and no `collectFunc`, `targetFunc` or `lossFunc`, JavaScript is not called per batch.
 *
 * Everything random (the samples' order, dropout) follows from `seed` and the number of the step, and LibTorch's own
 * generators are left as they are. So training that was interrupted and is resumed from its `checkpoint` ends, on a
 * CPU with as many threads, with the same bits as if it had never been interrupted.
 *
 * With a `scoreFunc`, the weights in the end are those of the best epoch (the beginning counts as one). What an error
 * leaves: after an abort, the weights so far, and a checkpoint where one was asked for; after a loss, score or weight
 * that is not finite, the best weights so far (without a `scoreFunc`, those of the last whole epoch); otherwise the
 * weights so far.
 *
 * @param loader batches, whose first element is the model's input and whose second one is the target
 * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_ARGUMENT`; `ERR_FROZEN`, `ERR_NO_PARAMETERS`, `ERR_DTYPE`
 *   for weights of half precision, `ERR_UNSUPPORTED_GRAPH`; `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT` for
 *   targets that don't fit; `ERR_GRADIENT`, `ERR_LOSS_NAN`, `ERR_LOSS_FAILED`, `ERR_SCORE_NAN`, `ERR_SCORE_FAILED`;
 *   `ERR_CHECKPOINT_…`; `ERR_BUSY`, `ERR_CLOSED`, `ERR_ABORTED`
 */
export async function finetune(
  module: Module,
  loader: DataSource,
  options: FinetuneOptions | null = null,
): Promise<FinetuneResult> {
  return finetuneWith(module, loader, options, {});
}

/** As {@link finetune}, with what the caller wants to have in the checkpoint beside it. */
export async function finetuneWith(
  module: Module,
  loader: DataSource,
  given: FinetuneOptions | null,
  annotations: Record<string, unknown>,
): Promise<FinetuneResult> {
  if (!(module instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "module", module);
  if (!isDataSource(loader)) throw expected("ERR_ARGUMENT", "batches", "loader", loader);
  const options = readFinetuneOptions(given);
  const { teacher, temperature, lossFunc, recalibrate, scoreFunc, signal, onProgress } = options;
  if (teacher === (module as unknown)) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      "a model can't be its own teacher; give the full model, loaded apart",
    );
  }
  const alpha = alphaOf(options);
  const length = lengthOf(loader, options);
  return exclusively(module, async () => {
    const names = module.namedParameters().map(({ name }) => name);
    const native = nativeOptions(options, length.totalSteps, names);
    const distillation = { alpha, temperature: temperature ?? 4 };
    const trainer = await callNative(
      (call) =>
        addon().Trainer.create(
          module.native,
          {
            ...native,
            ...distillation,
            ...(teacher && { teacher: requireNativeHandle(teacher, "A teacher") }),
          },
          call,
        ),
      signal,
    );
    try {
      const run = new TrainingRun(
        {
          module,
          rate: scoreFunc && (async () => scoreFunc(module, { signal, onProgress, silent: true })),
          trainer,
          source: loader,
          length,
          settings: {
            ...native,
            ...distillation,
            epochs: length.epochs,
            shuffle: options.shuffle,
            recalibrate,
            customLoss: lossFunc !== null,
            teacher: teacher === null ? null : await teacher.fingerprint({ signal }),
          },
          annotations,
          needsTarget: alpha < 1,
          lossFunc,
          recalibrate,
        },
        options,
      );
      await run.run();
      const { recalibratedBatches } = run.state;
      return { ...resultOf(run.state, trainer), recalibratedBatches };
    } finally {
      trainer.close();
    }
  });
}
