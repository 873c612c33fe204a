/** Feeding batches to what learns from the whole model of a space: importances, reconstructions. */
import type { DataSource } from "../data/data-source";
import { closeTensors } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { forEachBatch, withProgress } from "../evaluation/forward-loop";
import type { Loss } from "../evaluation/losses";
import type { ClassDimension } from "../evaluation/output-scores";
import { viewOutputs } from "../evaluation/output-view";
import { inputsPicker, targetPicker } from "../evaluation/pickers";
import type { CollectFunction, RunContext, SearchModel } from "../evaluation/types";
import { nativeInputs } from "../model/inputs";
import { callNative } from "../native/call";
import type { NativeImportance, NativeMeasure } from "../native/types/importance";
import type { NativeSearchSpace } from "../native/types/search-space";

/** What learns, of which space. */
export interface Learner {
  /** Of progress events. */
  phase: string;
  model: SearchModel;
  space: NativeSearchSpace;
  measure: NativeMeasure;
}

/** How batches are read; keys as in `ImportanceConfig`. */
export interface MeasureConfig {
  collectFunc: CollectFunction | null;
  maxBatches: number | null;
  targetFunc?: CollectFunction | null;
  loss?: Loss | null;
  outputKey?: string | null;
  classDimension?: ClassDimension | null;
}

/**
 * Runs the whole model on batches, and a measure learns from them.
 *
 * @throws `ERR_EMPTY_LOADER`, `ERR_LOADER_ONE_SHOT`, `ERR_ABORTED`, and the errors of the data, model and measure
 */
export async function feedMeasure(
  { phase, model, space, measure }: Learner,
  data: DataSource,
  config: MeasureConfig,
  run: RunContext,
): Promise<void> {
  const { collectFunc, targetFunc = null, maxBatches } = config;
  const options = { ...run, maxBatches };
  const inputsOf = inputsPicker(collectFunc);
  const targetOf = targetPicker(targetFunc);
  let viewed = !measure.needsTarget;
  const view = async (batch: unknown): Promise<void> => {
    viewed = true;
    const classes = config.loss !== "meanSquaredError";
    const viewedBatch = { inputs: inputsOf(batch), target: targetOf(batch), classes };
    const outputs = await viewOutputs(model, viewedBatch, config, run.signal);
    if (readsOutputs(measure)) measure.readOutputs(outputs);
  };
  if (data instanceof TensorDataLoader && !collectFunc && !targetFunc) {
    const loop = { inputs: [0], target: measure.needsTarget ? positionOfTarget(data) : -1 };
    if (!viewed && data.batches > 0) {
      const batch = data.batch(0);
      try {
        await view(batch);
      } finally {
        closeTensors(batch);
      }
    }
    await withProgress(phase, data, options, async (tick) => {
      const { batches } = await callNative(
        (call) =>
          space.measureAll(measure, data.native, maxBatches === null ? loop : { ...loop, maxBatches }, call),
        run.signal,
        ({ done }) => tick(done),
      );
      return batches;
    });
    return;
  }
  await forEachBatch(phase, data, options, async (batch) => {
    if (!viewed) await view(batch);
    const { args, kwargs } = nativeInputs(inputsOf(batch));
    const target = measure.needsTarget ? targetOf(batch).native : null;
    await callNative((call) => space.measure(measure, args, kwargs, target, call), run.signal);
  });
}

function readsOutputs(measure: NativeMeasure): measure is NativeImportance {
  return "readOutputs" in measure;
}

function positionOfTarget(loader: TensorDataLoader): number {
  const position = loader.indexOf(1);
  if (position === null) {
    throw new TorchSearchError(
      "ERR_BATCH",
      'The batches have no second element for importance "taylor" to take as the target; add the targets to the loader.',
    );
  }
  return position;
}
