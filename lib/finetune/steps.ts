/** The steps of one epoch: natively over a `TensorDataLoader`, or batch by batch from JavaScript. */

import { ownsBatches, walkBatches } from "../data/data-source";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { wrapFailure } from "../evaluation/failures";
import { viewOutputs } from "../evaluation/output-view";
import { inputsPicker, targetPicker } from "../evaluation/pickers";
import { type ModelInputs, nativeInputs } from "../model/inputs";
import { Tensor } from "../model/tensor";
import { callNative } from "../native/call";
import type { NativeCall } from "../native/types/call";
import { orAbandoned, throwIfAborted } from "../util/abort";
import { type BatchGradient, requireGradient } from "./loss-function";
import type { CompleteOptions, TrainingOptions } from "./options";
import type { TrainingParts, TrainingState } from "./training-state";

/** What the steps need of the run that they belong to. */
export interface StepContext {
  parts: TrainingParts;
  options: CompleteOptions<TrainingOptions>;
  state: TrainingState;
  /** Whether it is decided how outputs are read. */
  viewed: boolean;
  /** Whether no step is left. */
  isDone(): boolean;
  /** Seconds until the state has to be saved; null for never. */
  secondsToSave(): number | null;
  saveIfDue(): Promise<void>;
  /** Counts samples and the seconds that they took, for the throughput. */
  count(samples: number, seconds: number): void;
  /** Sends a progress event. */
  report(): void;
}

/** Trains on the batches of the current epoch that are left. */
export async function trainEpoch(context: StepContext): Promise<void> {
  const { data, lossFunc } = context.parts;
  const { collectFunc, targetFunc } = context.options;
  if (data instanceof TensorDataLoader && !collectFunc && !targetFunc && lossFunc === null)
    await trainNatively(context, data);
  else await trainByBatches(context);
}

async function trainNatively(context: StepContext, loader: TensorDataLoader): Promise<void> {
  const { state } = context;
  const { trainer, needsTarget, length } = context.parts;
  const { shuffle, signal } = context.options;
  const target = needsTarget ? loader.indexOf(1) : -1;
  if (target === null) throw noTarget();
  if (!context.viewed && loader.batches > 0) {
    const batch = loader.batch(0);
    try {
      await view(context, inputsPicker(null)(batch), needsTarget ? targetPicker(null)(batch) : null);
    } finally {
      closeTensors(batch);
    }
  }
  while (state.losses.length < loader.batches && !context.isDone()) {
    throwIfAborted(signal);
    const first = state.losses.length;
    const left = length.totalSteps === null ? loader.batches : length.totalSteps - state.steps;
    const untilSave = context.secondsToSave();
    const { losses, samples, seconds } = await callNative(
      (call) =>
        trainer.run(
          loader.native,
          {
            inputs: [0],
            target,
            ...(shuffle && { epoch: state.epoch }),
            first,
            count: Math.min(left, loader.batches - first),
            ...(untilSave !== null && { seconds: untilSave }),
          },
          call,
        ),
      signal,
      () => context.report(),
      { toTheEnd: true }, // the steps until an abort count
    );
    context.count(samples, seconds);
    state.losses.push(...losses);
    state.steps += losses.length;
    throwIfAborted(signal);
    await context.saveIfDue();
  }
  if (loader.batches === 0) {
    throw new TorchSearchError("ERR_EMPTY_LOADER", "The data have no batch; give at least one.");
  }
}

async function trainByBatches(context: StepContext): Promise<void> {
  const { state } = context;
  const { data, needsTarget, lossFunc } = context.parts;
  const { collectFunc, targetFunc, signal } = context.options;
  const inputsOf = inputsPicker(collectFunc);
  const targetOf = targetPicker(targetFunc);
  let position = 0;
  for await (const batch of walkBatches(data, null, signal)) {
    try {
      position += 1;
      if (position <= state.losses.length) continue; // trained on before the run was interrupted
      const start = performance.now();
      const inputs = inputsOf(batch);
      const target = needsTarget && lossFunc === null ? targetOf(batch) : null;
      if (!context.viewed) await view(context, inputs, target);
      const loss =
        lossFunc === null
          ? await stepByTarget(context, inputs, target)
          : await stepByFunction(context, lossFunc, inputs, batch);
      state.losses.push(loss);
      state.steps += 1;
      const samples = (inputs.args.find(isTensor) as Tensor | undefined)?.shape[0] ?? 1;
      context.count(samples, (performance.now() - start) / 1000);
      context.report();
    } finally {
      if (ownsBatches(data)) closeTensors(batch);
    }
    if (context.isDone()) break;
    throwIfAborted(signal);
    await context.saveIfDue();
  }
}

/** Decides on a batch how outputs are read. */
async function view(context: StepContext, inputs: ModelInputs, target: Tensor | null): Promise<void> {
  const { module, trainer, lossFunc, picksOutput } = context.parts;
  const { options } = context;
  context.viewed = true;
  if (!picksOutput) return;
  const classes = options.loss === "crossEntropy" && lossFunc === null;
  trainer.readOutputs(await viewOutputs(module, { inputs, target, classes }, options, options.signal));
}

/** A step by the built-in loss. */
async function stepByTarget(
  { parts: { trainer }, options: { signal } }: StepContext,
  inputs: ModelInputs,
  target: Tensor | null,
): Promise<number> {
  const { args, kwargs } = nativeInputs(inputs);
  // A step that ends in spite of an abort has changed the weights, and counts.
  const run = (call: NativeCall) => trainer.step(args, kwargs, target?.native ?? null, call);
  return callNative(run, signal, undefined, { toTheEnd: true });
}

/** A step by a loss written in JavaScript. */
async function stepByFunction(
  { parts: { trainer, module }, options: { signal } }: StepContext,
  lossFunc: BatchGradient,
  inputs: ModelInputs,
  batch: unknown,
): Promise<number> {
  const { args, kwargs } = nativeInputs(inputs);
  const output = Tensor.wrap(await callNative((call) => trainer.begin(args, kwargs, call), signal));
  try {
    const { loss, gradient } = requireGradient(await orAbandoned(lossFunc(output, batch as never), signal));
    try {
      return await callNative((call) => trainer.finish(loss, gradient.native, call));
    } finally {
      gradient.close();
    }
  } catch (error) {
    if (!module.closed) await callNative((call) => trainer.abandon(call));
    throw wrapFailure(error, signal, "ERR_LOSS_FAILED", "lossFunc");
  } finally {
    output.close();
  }
}

function noTarget(): TorchSearchError {
  return new TorchSearchError(
    "ERR_BATCH",
    "The batches have no second element to take as the target; add the targets to the data, give targetFunc, " +
      "or learn from a teacher alone (alpha: 1).",
  );
}
