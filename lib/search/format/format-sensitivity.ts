/** How much each format harms each group of layers. */

import type { DataSource } from "../../data/data-source";
import { ALONE, type WorkShare } from "../../distributed/work-share";
import { TorchSearchError } from "../../errors";
import { forEachBatch } from "../../evaluation/forward-loop";
import type { Loss, LossName } from "../../evaluation/losses";
import { givesOneColumn, noticeOf } from "../../evaluation/output-plan";
import type { ClassDimension } from "../../evaluation/output-scores";
import { type OutputView, viewOutputs } from "../../evaluation/output-view";
import { inputsPicker, targetPicker } from "../../evaluation/pickers";
import type { CollectFunction, RunContext } from "../../evaluation/types";
import { nativeInputs } from "../../model/inputs";
import { callNative } from "../../native/call";
import type { NativeSensitivityPart } from "../../native/types/quantization-space";
import type { QuantizationSpace } from "../../quantization/space";

/** How sensitivities are measured. */
export const FORMAT_SENSITIVITIES = ["gradient", "klDivergence", "meanSquaredError"] as const;
/**
 * - `gradient`: half the sum, over a layer's output y, of (dL/dy)^2 (y' - y)^2, where y' is the output in the format: a
 *   second-order estimate of the rise of the loss L, with the squared gradient for the Hessian's diagonal (LeCun et
 *   al., "Optimal Brain Damage", NIPS 1989; the Fisher information: Theis et al., "Faster Gaze Prediction with Dense
 *   Networks and Fisher Pruning", 2018). One pass for all layers. Needs targets
 * - `klDivergence`: KL(full model || model), in nats, of the softmax outputs, when one group alone is quantized
 * - `meanSquaredError`: the mean squared change of the outputs, likewise
 */
export type FormatSensitivity = (typeof FORMAT_SENSITIVITIES)[number];

/** How much each format harms each group of layers, by group and format. */
export type FormatSensitivities = Record<string, Record<string, number>>;

/** The batches to measure on. */
export interface SensitivityData extends RunContext {
  data: DataSource;
  collectFunc: CollectFunction | null;
  targetFunc: CollectFunction | null;
  maxBatches: number | null;
  /** How outputs are read, where a batch doesn't show it. */
  outputKey?: string | null;
  classDimension?: ClassDimension | null;
  /** Receives what was decided of outputs; by default it is a process warning. */
  onNotice?: ((message: string) => void) | null;
}

/** How {@link measureFormats} measures, and on which batches. */
export interface FormatMeasurement extends SensitivityData {
  /** How sensitivities are measured. */
  sensitivity: FormatSensitivity;
  /** The loss that `gradient` is of. */
  loss: Loss;
  /** Spreads the groups of layers among processes; by default, all are measured here. */
  share?: WorkShare;
}

/**
 * Measures the groups of layers that `known` lacks, and adds them to it: with `gradient` all of them in one pass, else
 * one after the other.
 *
 * @param measured called when groups were added: after the pass, with null, or after each group, with its position
 */
export async function measureFormats(
  space: QuantizationSpace,
  known: FormatSensitivities,
  options: FormatMeasurement,
  measured: (group: number | null) => Promise<void>,
): Promise<void> {
  const groups = space.hyperparameters;
  const missing = [...groups.keys()].filter((at) => {
    const group = groups[at] as (typeof groups)[number];
    return group.choices.length > 1 && !known[group.name];
  });
  if (missing.length === 0) return;
  const add = (at: number, harms: readonly number[]): void => {
    const byFormat = space.formats.map((format, i) => [format, harms[i] as number]);
    known[groups[at]?.name ?? ""] = Object.fromEntries(byFormat);
  };
  const { sensitivity, share = ALONE, signal = null } = options;
  if (sensitivity === "gradient") {
    const found = await share.once(() => measureGradients(space, options.loss, options), signal);
    for (const [at, harms] of found.entries()) add(at, harms);
    await measured(null);
    return;
  }
  if (sensitivity === "klDivergence") await requireColumns(space, options);
  // Every group's pass looks at outputs; what it finds is said once.
  const said = new Set<string>();
  const onNotice = (line: string): void => {
    if (!said.has(line)) noticeOf(options)(line);
    said.add(line);
  };
  const pass = { ...options, onProgress: null, onNotice };
  const items = missing.map((at) => ({
    key: JSON.stringify(["format", at]),
    cost: 1,
    measure: () => measureOutputs(space, at, sensitivity, pass),
  }));
  await share.measureAll<number[]>(items, {
    signal,
    onResult: async (harms, i) => {
      const at = missing[i] as number;
      add(at, harms);
      await measured(at);
    },
  });
}

/** Refuses outputs whose divergence is always 0. @throws `ERR_SCORE_INPUT` */
async function requireColumns(
  space: QuantizationSpace,
  { data, collectFunc, signal, outputKey, classDimension }: SensitivityData,
): Promise<void> {
  if (!(await givesOneColumn(space, data, { collectFunc, signal, outputKey, classDimension }))) return;
  throw new TorchSearchError(
    "ERR_SCORE_INPUT",
    "The outputs have one column: its softmax is always 1, so no format has any divergence. Take the sensitivity " +
      '"meanSquaredError".',
  );
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

/** The sensitivity `gradient` of every group in every format of the space, in their orders. */
export async function measureGradients(
  space: QuantizationSpace,
  loss: Loss,
  options: SensitivityData,
): Promise<number[][]> {
  const targetOf = targetPicker(options.targetFunc);
  const byLayer = await means(space, options, "gradients", loss, (args, kwargs, batch, view, call) => {
    const target = targetOf(batch);
    return space.native.gradients(args, kwargs, target.native, loss, view, call);
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

/** The sensitivity of one group in every format, by the outputs. */
export async function measureOutputs(
  space: QuantizationSpace,
  group: number,
  measure: Exclude<FormatSensitivity, "gradient">,
  options: SensitivityData,
): Promise<number[]> {
  const name = space.hyperparameters[group]?.name ?? "";
  return means(space, options, name, measure, (args, kwargs, _, view, call) =>
    space.native.outputs(args, kwargs, group, measure, view, call),
  );
}

type Step = (
  args: unknown[],
  kwargs: Record<string, unknown>,
  batch: unknown,
  view: OutputView,
  call: Parameters<QuantizationSpace["native"]["outputs"]>[5],
) => Promise<NativeSensitivityPart>;

async function means(
  space: QuantizationSpace,
  options: SensitivityData,
  what: string,
  measure: LossName,
  step: Step,
): Promise<number[]> {
  const { data, collectFunc, maxBatches, signal, onProgress } = options;
  const inputsOf = inputsPicker(collectFunc);
  const targetOf = targetPicker(options.targetFunc);
  let view: OutputView | null = null;
  const found = new Means();
  const progressBarMsg = `measuring ${what}`;
  await forEachBatch(
    "sensitivity",
    data,
    { maxBatches, signal, onProgress, silent: true, progressBarMsg },
    async (batch) => {
      const inputs = inputsOf(batch);
      if (view === null) {
        const target = measure === "crossEntropy" ? targetOf(batch) : null;
        const classes = measure !== "meanSquaredError";
        view = await viewOutputs(space, { inputs, target, classes }, options, signal);
      }
      const { args, kwargs } = nativeInputs(inputs);
      const seen = view;
      found.add(await callNative((call) => step(args, kwargs, batch, seen, call), signal));
    },
  );
  const values = found.values();
  if (values.some((value) => !Number.isFinite(value))) {
    throw new TorchSearchError(
      "ERR_SENSITIVITY_NAN",
      `The sensitivities of ${space.mode} are not finite numbers; check the data and the weights for NaN and infinity.`,
    );
  }
  return values;
}
