import { BaseSearcher } from "../../contract/base";
import { rules, type SearchConfig } from "../../contract/config";
import { requireReachable, satisfies } from "../../contract/constraints";
import type { DataSource } from "../../data/data-source";
import { TorchSearchError } from "../../errors";
import type { CollectFunction } from "../../evaluation/types";
import { searchRecordOf } from "../../model/history";
import type { Module } from "../../model/module";
import type { QuantizationMetric } from "../../quantization/costs";
import { UNQUANTIZED } from "../../quantization/formats";
import { type FormatConfig, QuantizationSpace } from "../../quantization/space";
import { describe } from "../../util/check";
import { type ConfigRule, oneOf, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { type MilpSolution, solveMilp } from "../solver/highs";
import type { MilpReport } from "../solver/knapsack";
import { type FormatBudget, formatProgram, readChoices } from "./format-program";
import {
  FORMAT_LOSSES,
  FORMAT_SENSITIVITIES,
  type FormatLoss,
  type FormatSensitivity,
  measureGradients,
  measureOutputs,
  type SensitivityData,
} from "./format-sensitivity";

/** The config of {@link AutoQuantizeSearcher}. `dataLoader` calibrates and measures; it must be given. */
export interface AutoQuantizeConfig extends SearchConfig {
  /** How sensitivities are measured; default `gradient`. */
  sensitivity: FormatSensitivity;
  /** The loss that `gradient` is of; default `crossEntropy`. It is computed natively. */
  loss: FormatLoss;
  /** Picks the target out of a batch, for `gradient`; null (the default) takes the batch's second element. */
  targetFunc: CollectFunction | null;
  /** At most so many batches for calibration; null (the default) for `maxIterDataLoader`. */
  calibrationBatches: number | null;
  /** At most so many batches for sensitivities; null (the default) for `maxIterDataLoader`. */
  sensitivityBatches: number | null;
  /** Accept a solution whose gap to the proven bound is at most this share of it. Default 0: optimal. */
  gap: number;
  /** Seconds for the solver, or null for no limit. Default 60. */
  timeLimit: number | null;
}

/** Formats that were chosen. */
export interface QuantizedResult {
  /** Formats by hyperparameter. */
  config: FormatConfig;
  /** What the config's `scoreFunc` says of them; without one, minus the sum of the sensitivities. */
  score: number;
  /** In each metric's unit. */
  costs: Record<QuantizationMetric, number>;
}

/** What {@link AutoQuantizeSearcher} keeps. */
export interface AutoQuantizeState {
  /** Ranges of the activations, as `QuantizationSpace.calibration` gives them; null before they were measured. */
  calibration: Float64Array | null;
  /** How the sensitivities were measured, or null before they were. */
  method: string | null;
  /** How much each format harms each group of layers: by group and format. */
  sensitivity: Record<string, Record<string, number>>;
  /** Costs of the unquantized model. */
  fullCosts: Record<QuantizationMetric, number> | null;
  /** Upper bounds that `milp` and `best` belong to. */
  bounds: Record<string, number> | null;
  /** The solution's certificate. */
  milp: MilpReport | null;
  /** The formats that won; null until there are some. */
  best: QuantizedResult | null;
}

/** Solutions that break a bound by rounding before the search gives up. */
const ROUNDS = 30;
/** A gap below this is rounding. */
const ROUNDING = 1e-9;

/**
 * Chooses a number format for each layer: the smallest sum of sensitivities within a bound on effective bits, exactly.
 * ModelOpt's AutoQuantize, with an integer program that is solved to optimality.
 *
 * 1. *Calibration.* The `dataLoader` runs once through the unquantized model; the ranges of what layers read are learnt.
 * 2. *Sensitivity* of each group of layers in each format: see {@link FormatSensitivity}. Saved after each group (of
 *    `gradient`, which measures all at once, after the pass); a resumed search measures only what is missing.
 * 3. *Program.* Minimize the sum of the sensitivities, one format a group, within all bounds: `effectiveBits` (bits of a
 *    weight on average) and `size` (bytes). HiGHS solves it; `stateDict.milp` tells the dual bound and the gap.
 *
 * The result is exported with operators of fake quantization. Nothing is random.
 *
 * @throws from `search`: `ERR_ARGUMENT` when the model is no quantization space; `ERR_NO_CALIBRATION_DATA` without a
 *   `dataLoader`; `ERR_CONSTRAINT_UNREACHABLE` printing the smallest reachable value; `ERR_CALIBRATION_NAN`,
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
      calibrationBatches: null,
      sensitivityBatches: null,
      gap: 0,
      timeLimit: 60,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      sensitivity: oneOf(FORMAT_SENSITIVITIES),
      loss: oneOf(FORMAT_LOSSES),
      targetFunc: orNull(rules.func),
      calibrationBatches: orNull(rules.positiveInteger),
      sensitivityBatches: orNull(rules.positiveInteger),
      gap: rules.share,
      timeLimit: orNull(rules.positive),
    };
  }

  /** The layers and what bits their weights have in each format, so that a checkpoint alone tells what was chosen. */
  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    const { model: space } = this;
    const full = space.fullConfig;
    const before = space.cost(full, "effectiveBits");
    const weights = space.hyperparameters.reduce((sum, group) => sum + group.weights, 0);
    const groups = space.hyperparameters.map((group) => ({
      name: group.name,
      layers: group.layers,
      bits: Object.fromEntries(
        group.choices.map((format) => {
          const change = space.cost({ ...full, [group.name]: format }, "effectiveBits") - before;
          // The mean changes by this layer's share of it.
          return [format, before + (change * weights) / group.weights];
        }),
      ),
    }));
    return { space: { mode: space.mode, groups } };
  }

  protected override get knownConstraints(): readonly string[] {
    return ["effectiveBits"];
  }

  get defaultStateDict(): AutoQuantizeState {
    return {
      calibration: null,
      method: null,
      sensitivity: {},
      fullCosts: null,
      bounds: null,
      milp: null,
      best: null,
    };
  }

  /** Checks the model, the data and the constraints, and calibrates. */
  override async beforeSearch(): Promise<void> {
    const { model: space, state, config } = this;
    if (!(space instanceof QuantizationSpace)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected a QuantizationSpace for model but received ${describe(space)}; make one with convert(module, "auto_quantize", dummyInput)`,
      );
    }
    if (config.dataLoader === null) {
      throw new TorchSearchError(
        "ERR_NO_CALIBRATION_DATA",
        "Quantization learns ranges and sensitivities from batches: give the config a dataLoader, such as a TensorDataLoader over training samples.",
      );
    }
    const fullCosts = space.costs(space.fullConfig);
    const { bounds: limits } = this.resolveConstraints(fullCosts);
    const smallest = Object.fromEntries(
      space.metrics.map((metric) => [metric, space.cost(space.smallest(metric), metric)]),
    );
    requireReachable(limits, smallest, fullCosts);
    if (!sameNumbers(state.bounds, limits)) Object.assign(state, { milp: null, best: null });
    const method = JSON.stringify([
      config.sensitivity,
      config.sensitivity === "gradient" ? config.loss : null,
    ]);
    if (state.method !== method) Object.assign(state, { sensitivity: {}, milp: null, best: null });
    Object.assign(state, { fullCosts, bounds: limits, method });
    await this.#calibrate();
  }

  async #calibrate(): Promise<void> {
    const { model: space, state, config } = this;
    const { signal, onProgress, collectFunc } = config;
    if (state.calibration !== null) {
      await space.useCalibration(state.calibration, { signal });
      return;
    }
    await space.calibrate(config.dataLoader as DataSource, {
      signal,
      onProgress,
      collectFunc,
      maxBatches: config.calibrationBatches ?? config.maxIterDataLoader,
    });
    state.calibration = await space.calibration({ signal });
    await this.saveSearchCheckpoint();
    this.log("Calibrated the activations.");
  }

  async runSearch(): Promise<void> {
    await this.#measure();
    const { model: space, state } = this;
    if (state.best !== null) return;
    const config = await this.#solve();
    space.select(config);
    const score = this.hasScore ? await this.evalScore() : 0 - (state.milp as MilpReport).objective;
    const costs = space.costs(config);
    state.best = { config, score, costs };
    await this.saveSearchCheckpoint();
    this.report({
      phase: "search",
      done: 1,
      total: 1,
      message: `chose the formats: score ${score}`,
      details: { best: score, bestCosts: costs, limits: state.bounds, milp: state.milp },
    });
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

  /** Measures what the state does not hold yet. */
  async #measure(): Promise<void> {
    const { model: space, state, config } = this;
    const { hyperparameters } = space;
    const open = hyperparameters.filter(
      ({ name, choices }) => choices.length > 1 && !state.sensitivity[name],
    );
    if (open.length === 0) return;
    const run: SensitivityData = {
      data: config.dataLoader as DataSource,
      collectFunc: config.collectFunc,
      targetFunc: config.targetFunc,
      maxBatches: config.sensitivityBatches ?? config.maxIterDataLoader,
      signal: config.signal,
    };
    if (config.sensitivity === "gradient") {
      const found = await measureGradients(space, config.loss, { ...run, onProgress: config.onProgress });
      hyperparameters.forEach(({ name }, at) => {
        this.#keep(name, found[at] as number[]);
      });
      await this.saveSearchCheckpoint();
      return;
    }
    const total = hyperparameters.length;
    for (const { name } of open) {
      const at = hyperparameters.findIndex((group) => group.name === name);
      this.#keep(name, await measureOutputs(space, at, config.sensitivity, run));
      await this.saveSearchCheckpoint();
      this.report({
        phase: "sensitivity",
        done: at + 1,
        total,
        message: `measured ${name}`,
        details: { hyperparameter: name, sensitivity: state.sensitivity[name] },
      });
    }
  }

  #keep(group: string, harms: readonly number[]): void {
    this.state.sensitivity[group] = Object.fromEntries(
      this.model.formats.map((format, at) => [format, harms[at] as number]),
    );
  }

  /** The formats with the smallest sum of sensitivities within the bounds. */
  async #solve(): Promise<FormatConfig> {
    const { model: space, state } = this;
    const { hyperparameters } = space;
    const limits = state.bounds ?? {};
    const harms = hyperparameters.map(({ name, choices }) =>
      choices.map((format) => (format === UNQUANTIZED ? 0 : (state.sensitivity[name]?.[format] as number))),
    );
    // Sensitivities may be tiny; the solver's tolerances are not.
    const unit = Math.max(...harms.flat()) || 1;
    const scaled = harms.map((row) => row.map((harm) => harm / unit));
    const budgets: FormatBudget[] = Object.entries(limits).map(([name, limit]) => {
      const metric = name as QuantizationMetric;
      return {
        costs: hyperparameters.map((group) => space.groupCosts(group.name, metric)),
        limit: limit - space.fixedCost(metric),
      };
    });
    const excluded: number[][] = [];
    let bound = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const solution = await this.#run(formatProgram(scaled, budgets, excluded), unit);
      if (solution.x === null) {
        throw new TorchSearchError(
          solution.status === "infeasible" ? "ERR_CONSTRAINT_UNREACHABLE" : "ERR_SOLVER",
          solution.status === "infeasible"
            ? `No formats meet ${Object.keys(limits).join(" and ")} together, though each can be met alone. Raise a bound, or convert the model with smaller formats.`
            : "The integer program was not solved within timeLimit; raise it.",
        );
      }
      bound = Math.max(bound, solution.bound * unit);
      const choices = readChoices(harms, solution.x);
      const config = Object.fromEntries(
        hyperparameters.map((group, at) => [group.name, group.choices[choices[at] as number] as string]),
      );
      if (!satisfies(space.costs(config), limits)) {
        excluded.push(choices);
        continue;
      }
      const objective = choices.reduce((sum, choice, at) => sum + (harms[at]?.[choice] as number), 0);
      const proven = Math.min(objective, bound);
      const gap = objective === 0 ? 0 : (objective - proven) / objective;
      state.milp = {
        status: solution.status === "optimal" ? "optimal" : "limit",
        objective,
        bound: proven,
        gap: gap < ROUNDING ? 0 : gap,
        costError: 0,
      };
      return config;
    }
    throw new TorchSearchError(
      "ERR_SOLVER",
      "The integer program's solutions break the bounds by rounding; lower the bound a little.",
    );
  }

  #run(program: ReturnType<typeof formatProgram>, unit: number): Promise<MilpSolution> {
    const { gap, timeLimit, signal } = this.config;
    return solveMilp(program, {
      gap,
      timeLimit,
      start: null,
      signal,
      onProgress: (objective, bound) =>
        this.report({
          phase: "solve",
          done: 0,
          total: null,
          message: "solving the integer program",
          details: { objective: objective * unit, bound: bound * unit },
        }),
    });
  }
}
