/** How much each format harms each group of layers. */

import type { DataSource } from "../../data/data-source";
import { TorchSearchError } from "../../errors";
import { forEachBatch } from "../../evaluation/forward-loop";
import { inputsPicker, targetPicker } from "../../evaluation/pickers";
import type { CollectFunction, RunContext } from "../../evaluation/types";
import { nativeInputs } from "../../model/inputs";
import { callNative } from "../../native/call";
import type { NativeSensitivityPart } from "../../native/types/quantization-space";
import type { QuantizationSpace } from "../../quantization/space";

/** How sensitivities are measured. */
export const FORMAT_SENSITIVITIES = ["gradient", "klDivergence", "mse"] as const;
/**
 * - `gradient`: half the sum, over a layer's output, of (dL/dy)^2 (y' - y)^2: a second-order estimate of how far the loss
 *   rises; one pass for all layers. Needs targets
 * - `klDivergence`: how far the softmax outputs go from the full model's, in nats, when one group alone is quantized
 * - `mse`: the mean squared change of the outputs, likewise
 */
export type FormatSensitivity = (typeof FORMAT_SENSITIVITIES)[number];

/** The losses that `gradient` can take gradients of. */
export const FORMAT_LOSSES = ["crossEntropy", "mse"] as const;
/** The loss whose gradients tell how much a format harms. */
export type FormatLoss = (typeof FORMAT_LOSSES)[number];

/** Where the batches come from. */
export interface SensitivityData extends RunContext {
  data: DataSource;
  collectFunc: CollectFunction | null;
  targetFunc: CollectFunction | null;
  maxBatches: number | null;
}

/** Means over batches, added up in order. */
class Means {
  #sums: Float64Array | null = null;
  #count = 0;

  add({ sums, count }: NativeSensitivityPart): void {
    this.#sums ??= new Float64Array(sums.length);
    for (const [at, sum] of sums.entries()) this.#sums[at] = (this.#sums[at] as number) + sum;
    this.#count += count;
  }

  values(): number[] {
    return Array.from(this.#sums ?? [], (sum) => sum / this.#count);
  }
}

/** Of every group in every format of the space, in their orders. */
export async function measureGradients(
  space: QuantizationSpace,
  loss: FormatLoss,
  options: SensitivityData,
): Promise<number[][]> {
  const targetOf = targetPicker(options.targetFunc);
  const byLayer = await means(space, options, "gradients", (args, kwargs, batch, call) => {
    const target = targetOf(batch);
    return space.native.gradients(args, kwargs, target.native, loss, call);
  });
  const count = space.formats.length;
  return space.hyperparameters.map(({ name }) =>
    space.formats.map((_, format) =>
      space.layers.reduce(
        (sum, { group }, layer) => (group === name ? sum + (byLayer[layer * count + format] as number) : sum),
        0,
      ),
    ),
  );
}

/** Of one group in every format. */
export async function measureOutputs(
  space: QuantizationSpace,
  group: number,
  measure: "klDivergence" | "mse",
  options: SensitivityData,
): Promise<number[]> {
  const name = space.hyperparameters[group]?.name ?? "";
  return means(space, options, name, (args, kwargs, _, call) =>
    space.native.outputs(args, kwargs, group, measure, call),
  );
}

type Step = (
  args: unknown[],
  kwargs: Record<string, unknown>,
  batch: unknown,
  call: Parameters<QuantizationSpace["native"]["outputs"]>[4],
) => Promise<NativeSensitivityPart>;

async function means(
  space: QuantizationSpace,
  options: SensitivityData,
  what: string,
  step: Step,
): Promise<number[]> {
  const { data, collectFunc, maxBatches, signal, onProgress } = options;
  const inputsOf = inputsPicker(collectFunc);
  const found = new Means();
  const progressBarMsg = `measuring ${what}`;
  await forEachBatch(
    "sensitivity",
    data,
    { maxBatches, signal, onProgress, silent: true, progressBarMsg },
    async (batch) => {
      const { args, kwargs } = nativeInputs(inputsOf(batch));
      found.add(await callNative((call) => step(args, kwargs, batch, call), signal));
    },
  );
  const values = found.values();
  if (values.some((value) => !Number.isFinite(value))) {
    throw new TorchSearchError(
      "ERR_SENSITIVITY_NAN",
      `The sensitivities of ${space.mode} are no finite numbers; check the data and the weights for NaN and infinity.`,
    );
  }
  return values;
}
