import { BaseSearcher } from "../../contract/base";
import { rules } from "../../contract/config";
import { requireReachable } from "../../contract/constraints";
import type { DataSource } from "../../data/data-source";
import { TorchSearchError } from "../../errors";
import { LOSSES } from "../../evaluation/losses";
import { OUTPUT_RULES } from "../../evaluation/output-rules";
import { searchRecordOf } from "../../model/history";
import type { Module } from "../../model/module";
import type { QuantizationMetric } from "../../quantization/costs";
import { QuantizationSpace } from "../../quantization/space";
import { requireSpace } from "../../space/require-space";
import { type ConfigRule, oneOf, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { type MilpReport, SOLVER_DEFAULTS, SOLVER_RULES } from "../solver/rounds";
import type { AutoQuantizeConfig } from "./auto-quantize-config";
import { solveFormats } from "./format-program";
import { describeGroups, type QuantizedResult } from "./format-result";
import { FORMAT_SENSITIVITIES, type FormatSensitivities, measureFormats } from "./format-sensitivity";

export type { AutoQuantizeConfig };

/** What {@link AutoQuantizeSearcher} keeps. */
export interface AutoQuantizeState {
  /** Ranges of the activations, as `QuantizationSpace.calibration` gives them; null before they were measured. */
  calibration: Float64Array | null;
  /** How the sensitivities were measured; null before they were. */
  method: string | null;
  /** How much each format harms each group of layers: by group and format. */
  sensitivity: FormatSensitivities;
  /** Costs of the unquantized model. */
  fullCosts: Record<QuantizationMetric, number> | null;
  /** Upper bounds that `milp` and `best` belong to. */
  bounds: Record<string, number> | null;
  /** The solution's certificate. */
  milp: MilpReport | null;
  /** The formats that won; null until there are some. */
  best: QuantizedResult | null;
}

/**
 * AutoQuantize: chooses a number format for each layer, with the smallest sum of sensitivities within a bound on
 * effective bits, exactly. NVIDIA ModelOpt's AutoQuantize (`modelopt.torch.quantization`), with an integer program that
 * is solved to optimality, as in HAWQ-V3 (Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021).
 *
 * 1. *Calibration.* The `dataLoader` runs once through the full model, which gives the ranges of what layers read.
 * 2. *Sensitivity* s(g, f) of each group g of layers in each format f: `FormatSensitivity` has the formulas.
 *    Saved after each group (with `gradient`, after its one pass); a resumed search measures only what is missing.
 * 3. *Program.* Minimize the sum of s(g, f) x(g, f), where x(g, f) is 0 or 1 and each group takes one format, within
 *    all bounds: `effectiveBits` (bits of a weight on average) and `size` (bytes). HiGHS solves it; `stateDict.milp`
 *    holds the dual bound and the gap.
 *
 * The result is exported with operators of fake quantization. Nothing is random.
 *
 * @throws from `search`: `ERR_ARGUMENT` when the model isn't a quantization space; `ERR_NO_CALIBRATION_DATA` without a
 *   `dataLoader`; `ERR_CONSTRAINT_UNREACHABLE` with the smallest reachable value; `ERR_CALIBRATION_NAN`,
 *   `ERR_SENSITIVITY_NAN`, `ERR_GRADIENT`, `ERR_SOLVER`, and what `BaseSearcher.search` throws
 *
 * @example
 * ```ts
 * const formats = await convert(module, "auto_quantize", dummyInput);
 * const { subnet, stateDict } = await new AutoQuantizeSearcher().search(formats, { effectiveBits: 6 }, dummyInput, {
 *   dataLoader: data,
 *   maxIterDataLoader: 2,
 * });
 * console.log(stateDict.best?.config, subnet.history);
 * ```
 */
export class AutoQuantizeSearcher extends BaseSearcher<
  AutoQuantizeState,
  AutoQuantizeConfig,
  QuantizationSpace,
  Module
> {
  override get defaultSearchConfig(): AutoQuantizeConfig {
    return {
      ...super.defaultSearchConfig,
      sensitivity: "gradient",
      loss: "crossEntropy",
      targetFunc: null,
      outputKey: null,
      classDimension: null,
      calibrationBatches: null,
      sensitivityBatches: null,
      ...SOLVER_DEFAULTS,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      sensitivity: oneOf(FORMAT_SENSITIVITIES),
      loss: oneOf(LOSSES),
      targetFunc: orNull(rules.func),
      ...OUTPUT_RULES,
      calibrationBatches: orNull(rules.positiveInteger),
      sensitivityBatches: orNull(rules.positiveInteger),
      ...SOLVER_RULES,
    };
  }

  /** The layers and the bits of their weights in each format, so that a checkpoint alone shows what was chosen. */
  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    return { space: { mode: this.model.mode, groups: describeGroups(this.model) } };
  }

  protected override get knownConstraints(): readonly string[] {
    return ["effectiveBits"];
  }

  get defaultStateDict(): AutoQuantizeState {
    const none = { calibration: null, method: null, sensitivity: {} };
    return { ...none, fullCosts: null, bounds: null, milp: null, best: null };
  }

  /** Checks the model, the data and the constraints, and calibrates. */
  override async beforeSearch(): Promise<void> {
    const { model: space, state, config } = this;
    requireSpace(space, QuantizationSpace, "auto_quantize");
    if (config.dataLoader === null) {
      throw new TorchSearchError(
        "ERR_NO_CALIBRATION_DATA",
        "Quantization learns ranges and sensitivities from batches: give the config a dataLoader, such as a TensorDataLoader over training samples.",
      );
    }
    const fullCosts = space.costs(space.fullConfig);
    const { bounds } = this.resolveConstraints(fullCosts);
    const smallest = space.metrics.map((metric) => [metric, space.cost(space.smallest(metric), metric)]);
    requireReachable(bounds, Object.fromEntries(smallest), fullCosts);
    const loss = config.sensitivity === "gradient" ? config.loss : null;
    const { outputKey, classDimension } = config;
    const view = outputKey === null && classDimension === null ? [] : [outputKey, classDimension];
    const method = JSON.stringify([config.sensitivity, loss, ...view]);
    if (!sameNumbers(state.bounds, bounds)) Object.assign(state, { milp: null, best: null });
    if (state.method !== method) Object.assign(state, { sensitivity: {}, milp: null, best: null });
    Object.assign(state, { fullCosts, bounds, method });

    // Step 1.
    const { dataLoader, signal, onProgress, collectFunc } = config;
    if (state.calibration !== null) return space.useCalibration(state.calibration, { signal });
    const maxBatches = config.calibrationBatches ?? config.maxIterDataLoader;
    const ranges = await this.share.once(async () => {
      await space.calibrate(dataLoader, { signal, onProgress, collectFunc, maxBatches });
      return Array.from(await space.calibration({ signal }));
    }, signal);
    state.calibration = Float64Array.from(ranges);
    if (this.share.rank !== 0) await space.useCalibration(state.calibration, { signal });
    await this.saveSearchCheckpoint();
    this.log("Calibrated the activations.");
  }

  async runSearch(): Promise<void> {
    const { model: space, state } = this;

    // Step 2: measures what the state does not hold yet.
    const maxBatches = this.config.sensitivityBatches ?? this.config.maxIterDataLoader;
    const data = this.config.dataLoader as DataSource;
    const options = { ...this.config, data, maxBatches, share: this.share };
    const names = space.hyperparameters.map(({ name }) => name);
    await measureFormats(space, state.sensitivity, options, async (at) => {
      await this.saveSearchCheckpoint();
      if (at === null) return;
      const hyperparameter = names[at] as string;
      const details = { hyperparameter, sensitivity: state.sensitivity[hyperparameter] };
      const event = { phase: "sensitivity", message: `measured ${hyperparameter}`, details };
      this.report({ ...event, done: at + 1, total: names.length });
    });
    if (state.best !== null) return;

    // Step 3.
    const { gap, timeLimit, signal } = this.config;
    const bounds = state.bounds ?? {};
    const run = { gap, timeLimit, signal, onProgress: this.report.bind(this) };
    const { config, report: milp } = await this.share.once(
      () => solveFormats(space, state.sensitivity, bounds, run),
      signal,
    );
    space.select(config);
    const score = this.hasScore ? await this.share.once(() => this.evalScore(), signal) : 0 - milp.objective;
    const costs = space.costs(config);
    Object.assign(state, { milp, best: { config, score, costs } });
    await this.saveSearchCheckpoint();
    const event = { phase: "search", done: 1, total: 1, message: `chose the formats: score ${score}` };
    this.report({ ...event, details: { best: score, bestCosts: costs, bounds, milp } });
    this.log(`Effective bits ${costs.effectiveBits.toPrecision(4)}, score ${score}.`);
  }

  /** Leaves the formats that were found selected. */
  override async afterSearch(): Promise<void> {
    this.model.select((this.state.best as QuantizedResult).config);
  }

  protected override buildSubnet(): Promise<Module> {
    const search = searchRecordOf(this, this.state.best?.score ?? null);
    return this.model.export({ signal: this.config.signal, search });
  }
}
