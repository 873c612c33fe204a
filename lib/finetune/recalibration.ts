/** Batch norms' statistics, averaged over all batches after training. */

import { batchCount, ownsBatches, walkBatches } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { inputsPicker } from "../evaluation/pickers";
import { nativeInputs } from "../model/inputs";
import { callNative } from "../native/call";
import type { CompleteOptions, TrainingOptions } from "./options";
import type { TrainingParts } from "./training-state";

/** Gives batch norms the plain average of the batches' statistics. @returns the batches; 0 for a model without any */
export async function recalibrateBatchNorms(
  { trainer, data }: TrainingParts,
  { collectFunc, signal, onProgress }: CompleteOptions<TrainingOptions>,
): Promise<number> {
  const report = (done: number): void =>
    onProgress?.({
      phase: "recalibrate",
      done,
      total: batchCount(data),
      message: "Averaging the batch norms' statistics",
    });
  if (data instanceof TensorDataLoader && !collectFunc) {
    return callNative(
      (call) => trainer.recalibrate(data.native, { inputs: [0] }, call),
      signal,
      ({ done }) => report(done),
    );
  }
  const inputsOf = inputsPicker(collectFunc);
  let done = 0;
  for await (const batch of walkBatches(data, null, signal)) {
    try {
      const { args, kwargs } = nativeInputs(inputsOf(batch));
      const found = await callNative((call) => trainer.recalibrateBatch(args, kwargs, done, call), signal);
      if (!found) return 0;
      done += 1;
      report(done);
    } finally {
      if (ownsBatches(data)) closeTensors(batch);
    }
  }
  return done;
}
