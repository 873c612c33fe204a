/** Running a model over data: natively when everything is native, otherwise with one JavaScript call per batch. */

import { batchCount, type DataSource, ownsBatches, walkBatches } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { joinInputs, type ModelInputs } from "../model/inputs";
import { orAbandoned } from "../util/abort";
import { startProgressBar } from "../util/progress-bar";
import { nativeForwardAll, nativeHandle } from "./native-engine";
import { inputsPicker } from "./pickers";
import type { CollectFunction, PostProcessFunction, RunContext, SearchModel } from "./types";

export interface ForwardLoopOptions extends RunContext {
  /** Picks the model's inputs out of a batch; null takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** At most so many batches; null for all. */
  maxBatches?: number | null;
  /** Called after each batch; null or false for none. */
  postProcess?: PostProcessFunction | false | null;
  /** Text beside a progress bar; null draws none. */
  progressBarMsg?: string | null;
}

/**
 * Runs the model on every batch of the source, in the mode that the model is in. Outputs are closed after each batch.
 *
 * @returns the number of batches that ran
 * @throws `ERR_EMPTY_LOADER`, `ERR_LOADER_ONE_SHOT`, `ERR_LOADER_FAILED`, `ERR_ABORTED` (within one batch), and errors
 *   of the model's `forward`
 */
export async function runForwardLoop(
  model: SearchModel,
  source: DataSource,
  options: ForwardLoopOptions = {},
): Promise<number> {
  const { collectFunc, postProcess } = options;
  if (source instanceof TensorDataLoader && !collectFunc && !postProcess && nativeHandle(model) !== null) {
    return withProgress("forward", source, options, (tick) =>
      nativeForwardAll(
        model,
        source,
        { inputs: [0], maxBatches: options.maxBatches, signal: options.signal },
        tick,
      ),
    );
  }
  const inputsOf = inputsPicker(collectFunc);
  return forEachBatch("forward", source, options, async (batch) => {
    const output = await callModel(model, inputsOf(batch), options.signal);
    try {
      if (postProcess) await orAbandoned(postProcess(output, batch), options.signal);
    } finally {
      closeTensors(output);
    }
  });
}

/** Runs a model on inputs. A native one stops between two operators when the signal is aborted. */
export function callModel(
  model: SearchModel,
  inputs: ModelInputs,
  signal?: AbortSignal | null,
): Promise<unknown> {
  const running =
    model.forwardWith?.(inputs.args, inputs.kwargs, { signal }) ?? model.forward(...joinInputs(inputs));
  return orAbandoned(running, signal);
}

/** Calls `step` with every batch, reports progress, stops when aborted, and closes batches that the source made. */
export async function forEachBatch(
  phase: string,
  source: DataSource,
  options: ForwardLoopOptions,
  step: (batch: unknown) => Promise<void>,
): Promise<number> {
  return withProgress(phase, source, options, async (tick) => {
    let done = 0;
    for await (const batch of walkBatches(source, options.maxBatches ?? null, options.signal)) {
      try {
        await step(batch);
      } finally {
        if (ownsBatches(source)) closeTensors(batch);
      }
      done += 1;
      tick(done);
    }
    return done;
  });
}

/** Turns ticks into progress events, and into a progress bar if the options ask for one. */
export async function withProgress(
  phase: string,
  source: DataSource,
  options: ForwardLoopOptions,
  run: (tick: (done: number) => void) => Promise<number>,
): Promise<number> {
  const batches = batchCount(source);
  const limit = options.maxBatches ?? null;
  const total = batches === null ? limit : limit === null ? batches : Math.min(batches, limit);
  const message = options.progressBarMsg ?? `Running ${phase} loop`;
  const bar = options.progressBarMsg && !options.silent ? startProgressBar(message, total) : null;
  try {
    return await run((done) => {
      bar?.update(done);
      options.onProgress?.({ phase, done, total, message });
    });
  } finally {
    bar?.stop();
  }
}
