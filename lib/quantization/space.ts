/** The space of number formats of a module's layers. */
import { type DataSource, isDataSource } from "../data/data-source";
import type { TorchSearchError } from "../errors";
import { forEachBatch } from "../evaluation/forward-loop";
import { inputsPicker } from "../evaluation/pickers";
import type { CollectFunction, RunContext } from "../evaluation/types";
import { nativeInputs } from "../model/inputs";
import type { Module } from "../model/module";
import type { CallOptions } from "../model/types";
import { callNative } from "../native/call";
import type { NativeLayerFormat } from "../native/types/number-format";
import type { NativeQuantizationSpace, NativeQuantLayer } from "../native/types/quantization-space";
import { EvaluationSpace } from "../space/evaluation-space";
import type { ExportOptions, ModeSpace } from "../space/mode-space";
import { byName, NameIndex, sampleChoices, unknownMetric } from "../space/names";
import { expected, isRecord, requireOptions } from "../util/check";
import { jsonDigest } from "../util/digest";
import type { Random } from "../util/random";
import { costTable, type FormatCosts, QUANTIZATION_METRICS, type QuantizationMetric } from "./costs";
import { UNQUANTIZED } from "./formats";

/** The format of each group of layers, by the group's name. */
export type FormatConfig = Record<string, string>;

/** Layers that get one format, because they share a weight or read the same activation. */
export interface QuantizationChoice {
  /** The module path of its first layer, such as `layer1.0.conv1`. */
  readonly name: string;
  /** The paths of its layers, in the order of execution. */
  readonly layers: readonly string[];
  /** Names of formats: `none`, then the conversion's formats. */
  readonly choices: readonly string[];
  /** Elements of their weights. */
  readonly weights: number;
  /** The format that is selected now. */
  readonly active: string;
}

/** A convolution, linear layer or matrix product whose weight can be quantized. */
export interface QuantizableLayer {
  /** The layer's path, such as `layer1.0.conv1`. */
  readonly name: string;
  /** The operator, such as `aten::conv2d`. */
  readonly op: string;
  /** Sizes of its weight. */
  readonly weightShape: readonly number[];
  /** The name of its group. */
  readonly group: string;
}

/** Options of {@link QuantizationSpace.calibrate}. */
export interface CalibrateOptions extends RunContext {
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** At most so many batches; null (the default) for all. */
  maxBatches?: number | null;
}

/** Where a space comes from. */
export interface QuantizationOrigin {
  mode: string;
  moduleFingerprint: string;
  /** Bytes of the module's parameters and buffers. */
  moduleBytes: number;
  formats: readonly NativeLayerFormat[];
  groupSharedInputs: boolean;
  /** Layers that stay as they are. */
  excluded: (layer: string) => boolean;
}

/**
 * A module whose layers can be given number formats; made by `convert(module, "auto_quantize", …)`. At first no layer
 * is quantized. The module doesn't change: layers round their weights and inputs as they run ("fake quantization"), in
 * the module's own dtype.
 *
 * Formats that round activations need {@link calibrate} before they can run.
 *
 * @example
 * ```ts
 * const formats = await convert(module, "auto_quantize", dummyInput, { formats: ["int8", "int4"] });
 * await formats.calibrate(data, { maxBatches: 2 });
 * formats.select(Object.fromEntries(formats.hyperparameters.map(({ name }) => [name, "int8"])));
 * console.log(formats.cost(formats.active, "effectiveBits")); // 8
 * ```
 */
export class QuantizationSpace extends EvaluationSpace<NativeQuantizationSpace> implements ModeSpace {
  readonly mode: string;
  /** The groups of layers that a format can be chosen for, in the order of execution. */
  readonly hyperparameters: readonly QuantizationChoice[];
  /** In the order of execution. */
  readonly layers: readonly QuantizableLayer[];
  /** The names of the formats, without `none`. */
  readonly formats: readonly string[];
  /** The metrics that {@link cost} knows. */
  readonly metrics: readonly QuantizationMetric[] = QUANTIZATION_METRICS;

  readonly #origin: QuantizationOrigin;
  readonly #costs: FormatCosts;
  readonly #index: NameIndex;

  private constructor(native: NativeQuantizationSpace, origin: QuantizationOrigin) {
    super(native);
    this.#origin = origin;
    this.mode = origin.mode;
    this.formats = origin.formats.map(({ name }) => name);
    const layers = native.layers();
    const groups: NativeQuantLayer[][] = [];
    for (const layer of layers) {
      const group = groups[layer.group];
      if (group) group.push(layer);
      else groups[layer.group] = [layer];
    }
    const nameOf = (group: number): string => (groups[group]?.[0] as NativeQuantLayer).name;
    this.layers = layers.map(({ name, op, weightShape, group }) => ({
      name,
      op,
      weightShape,
      group: nameOf(group),
    }));
    this.#costs = costTable(groups, origin.formats, origin.moduleBytes);
    const all = [UNQUANTIZED, ...this.formats];
    this.hyperparameters = groups.map((group, at) => ({
      name: nameOf(at),
      layers: group.map(({ name }) => name),
      choices: Object.freeze(group.some(({ name }) => origin.excluded(name)) ? [UNQUANTIZED] : all),
      weights: this.#costs.elements[at] as number,
      get active(): string {
        return all[(native.active()[at] as number) + 1] as string;
      },
    }));
    const names = this.hyperparameters.map(({ name }) => name);
    this.#index = new NameIndex("ERR_UNKNOWN_HYPERPARAMETER", "hyperparameter", names);
  }

  /** @internal */
  static wrap(native: NativeQuantizationSpace, origin: QuantizationOrigin): QuantizationSpace {
    return new QuantizationSpace(native, origin);
  }

  protected override get noTraining(): string {
    return "A quantization space has no training mode; export() a module, whose gradients pass the rounding, and train that.";
  }

  /** Depends on the module's graph and weights, the mode, the formats and the groups. */
  protected override get digest(): string {
    const { moduleFingerprint, mode, formats, groupSharedInputs } = this.#origin;
    const counts = this.hyperparameters.map(({ choices }) => choices.length);
    return jsonDigest([moduleFingerprint, mode, formats, groupSharedInputs, counts]);
  }

  /** Remembers the formats selected; the function it gives selects them again. */
  captureState(): () => void {
    const { active } = this;
    return () => this.select(active);
  }

  /** The formats that are selected. */
  get active(): FormatConfig {
    return byName(this.hyperparameters, ({ active }) => active);
  }

  /** Nothing quantized. */
  get fullConfig(): FormatConfig {
    return this.uniform(UNQUANTIZED);
  }

  /** Every layer in one format, except the layers that the conversion excluded. @throws `ERR_CHOICE` */
  uniform(format: string): FormatConfig {
    if (format !== UNQUANTIZED && !this.formats.includes(format)) throw this.#unknown("the format", format);
    return byName(this.hyperparameters, ({ choices }) => (choices.includes(format) ? format : UNQUANTIZED));
  }

  /** The formats that cost least by a metric. */
  smallest(metric: QuantizationMetric): FormatConfig {
    return byName(this.hyperparameters, ({ name, choices }) => {
      const costs = this.groupCosts(name, metric);
      return choices[costs.indexOf(Math.min(...costs))] as string;
    });
  }

  /**
   * Selects formats.
   *
   * @param config formats by group; a group that it leaves out keeps its format
   * @throws `ERR_UNKNOWN_HYPERPARAMETER` naming the nearest one, `ERR_CHOICE`, `ERR_CLOSED`
   */
  select(config: Readonly<FormatConfig>): void {
    const complete = this.#complete(config);
    this.native.select(
      Int32Array.from(complete, (format) => (format === UNQUANTIZED ? -1 : this.formats.indexOf(format))),
    );
  }

  /** Random formats: a uniform choice for each group. Selects nothing. */
  sample(rng: Random): FormatConfig {
    return sampleChoices(this.hyperparameters, rng);
  }

  /**
   * The cost of formats.
   *
   * @param config formats by group; a group that it leaves out counts with its active one
   * @param metric `effectiveBits`: bits of a weight, on average over all quantizable weights; weights that aren't
   *   quantized have the bits of their dtype. `size`: bytes of all parameters and buffers, were weights stored in their
   *   formats, with the scales and zero points
   * @throws `ERR_UNKNOWN_METRIC`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`
   */
  cost(config: Readonly<FormatConfig>, metric: QuantizationMetric): number {
    requireMetric(metric);
    const { table, base, divisor } = this.#costs.metrics[metric];
    let sum = base;
    this.#complete(config).forEach((format, at) => {
      sum += (table[at] as number[])[this.#place(format)] as number;
    });
    return sum / divisor;
  }

  /** All {@link metrics} of some formats. */
  costs(config: Readonly<FormatConfig>): Record<QuantizationMetric, number> {
    return Object.fromEntries(
      QUANTIZATION_METRICS.map((metric) => [metric, this.cost(config, metric)]),
    ) as Record<QuantizationMetric, number>;
  }

  /** A group's part of a cost in each of its choices; {@link fixedCost} and all groups' parts sum up to the cost. */
  groupCosts(name: string, metric: QuantizationMetric): number[] {
    requireMetric(metric);
    const at = this.#index.at(name);
    const { table, divisor } = this.#costs.metrics[metric];
    return this.#choice(at).choices.map(
      (format) => ((table[at] as number[])[this.#place(format)] as number) / divisor,
    );
  }

  /** The part of a cost that no format changes. */
  fixedCost(metric: QuantizationMetric): number {
    requireMetric(metric);
    const { base, divisor } = this.#costs.metrics[metric];
    return base / divisor;
  }

  /**
   * Learns the ranges of the layers' inputs from batches, on the unquantized model, in one pass. Earlier ranges are
   * forgotten.
   *
   * @throws `ERR_CALIBRATION_NAN`, `ERR_EMPTY_LOADER`, `ERR_ARGUMENT`, `ERR_ABORTED`, and what running the model throws
   */
  async calibrate(data: DataSource, options: CalibrateOptions = {}): Promise<void> {
    requireOptions(options, "calibrate");
    if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches", "data", data);
    const { collectFunc, maxBatches, signal, onProgress } = options;
    const inputsOf = inputsPicker(collectFunc);
    await callNative((call) => this.native.forgetActivations(call), signal);
    await forEachBatch("calibrate", data, { maxBatches, signal, onProgress }, async (batch) => {
      const { args, kwargs } = nativeInputs(inputsOf(batch));
      await callNative((call) => this.native.observe(args, kwargs, call), signal);
    });
  }

  /**
   * The ends of the layers' ranges, to be used again by {@link useCalibration}: lower and upper one, of each layer in
   * each of the {@link formats}; NaN where a format leaves activations alone.
   *
   * @throws `ERR_NOT_CALIBRATED`
   */
  async calibration(options: CallOptions = {}): Promise<Float64Array> {
    requireOptions(options, "calibration");
    return callNative((call) => this.native.activationEnds(call), options.signal);
  }

  /** Takes the ranges that {@link calibration} gave, of this space or one made alike. @throws `ERR_CONFIG_VALUE` */
  async useCalibration(ends: Float64Array, options: CallOptions = {}): Promise<void> {
    requireOptions(options, "useCalibration");
    await callNative((call) => this.native.setActivationEnds(ends, call), options.signal);
  }

  /**
   * The model in the selected formats as a module of its own. Operators of fake quantization stand before its layers,
   * scales and zero points are buffers of its submodule `quantizers`, and weights are floats as before. PyTorch opens
   * the saved file, gets the same numbers, and trains it: gradients pass the rounding (straight-through). The module is
   * in evaluation mode.
   *
   * @throws `ERR_NOT_CALIBRATED`, `ERR_EXPORT`, `ERR_EXPORT_MISMATCH`, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async export(options: ExportOptions = {}): Promise<Module> {
    requireOptions(options, "export");
    const config = this.active;
    const result = { config, costs: this.costs(config), fullCosts: this.costs(this.fullConfig) };
    const module = await this.exported((call) => this.native.exportModule(call), result, options);
    return module.training ? module.eval() : module;
  }

  #place(format: string): number {
    return this.formats.indexOf(format) + 1;
  }

  #choice(at: number): QuantizationChoice {
    return this.hyperparameters[at] as QuantizationChoice;
  }

  /** The format of every group. */
  #complete(config: Readonly<FormatConfig>): string[] {
    if (!isRecord(config))
      throw expected("ERR_ARGUMENT", "an object of formats by group", "the formats", config);
    const whole = Object.keys(config).length === this.hyperparameters.length;
    const complete = whole ? [] : this.hyperparameters.map(({ active }) => active);
    for (const [name, format] of Object.entries(config)) {
      const at = this.#index.at(name);
      if (!this.#choice(at).choices.includes(format)) throw this.#unknown(name, format);
      complete[at] = format;
    }
    return complete;
  }

  #unknown(what: string, format: unknown): TorchSearchError {
    return expected("ERR_CHOICE", `one of ${[UNQUANTIZED, ...this.formats].join(", ")}`, what, format);
  }
}

function requireMetric(metric: string): void {
  if ((QUANTIZATION_METRICS as readonly string[]).includes(metric)) return;
  throw unknownMetric(metric, QUANTIZATION_METRICS);
}
