import { createHash } from "node:crypto";
import { types } from "node:util";
import { KNOWN_METRICS } from "../contract/constraints";
import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { wrapFailure } from "../evaluation/failures";
import { runForwardLoop } from "../evaluation/forward-loop";
import { exclusively } from "../evaluation/model-guard";
import type { ForwardLoop, RunContext, SearchModel } from "../evaluation/types";
import { Module } from "../model/module";
import { recordExport } from "../model/record-export";
import type { CallOptions } from "../model/types";
import { callNative } from "../native/call";
import type { NativeHyperparameterKind, NativeSearchSpace } from "../native/types/search-space";
import { LatencyTable } from "../profile/latency-table";
import { type ComputedMetricOf, computedMetricsOf, type MetricOf, metricsOf } from "../profile/metrics";
import { throwIfAborted } from "../util/abort";
import { expected, isFunction, isRecord } from "../util/check";
import { suggestion } from "../util/nearest";
import { Random } from "../util/random";
import {
  addCustom,
  type CustomHyperparameter,
  type CustomTarget,
  type GraphConstant,
} from "./custom-hyperparameter";
import { EvaluationSpace } from "./evaluation-space";
import { type ChannelScoreConfig, measureChannels } from "./importance";
import {
  type LatencyError,
  type LatencyErrorOptions,
  latencyErrorOf,
  type MeasureLatencyOptions,
  measureTable,
  noLatencyTable,
  progressTo,
  readTiming,
  requireCount,
  toNativeTable,
} from "./latency";
import type { ExportOptions } from "./mode-space";

/** A subnet: the value of each hyperparameter, by name. */
export type SubnetConfig = Record<string, number>;

/** What {@link SearchSpace.cost} always knows: elements, multiply-adds, 2 x multiply-adds, bytes of weights, bytes at the peak of a forward. */
export const SPACE_METRICS = computedMetricsOf("widths");
/**
 * What {@link SearchSpace.cost} can be asked for; `latency` (milliseconds) once the space has a latency table, and the names
 * that {@link SearchSpace.addMetric} was given.
 */
export type SpaceMetric = MetricOf<"widths"> | (string & {});

/**
 * A cost of the user's own, of a complete config, without running anything; the lower, the better. Any unit will do.
 * Searchers assume that it never rises where a width shrinks.
 */
export type CostFunction = (config: Readonly<SubnetConfig>, space: SearchSpace) => number;
/** All costs of a subnet. */
export type SpaceCosts = Record<ComputedMetricOf<"widths">, number> & {
  latency?: number;
} & { [metric: string]: number };

const ALL_METRICS: readonly SpaceMetric[] = metricsOf("widths");

/**
 * What a hyperparameter counts: `out_channels` of a convolution, features of a linear layer (`hidden_width`), attention
 * heads (`num_heads`), or whether a residual block is there (`depth`: 0 or 1). `custom`: a choice of the user's own, which
 * counts nothing.
 */
export type HyperparameterKind = NativeHyperparameterKind | "custom";

/**
 * What can be chosen: a width, of channels that are kept or dropped together in every parameter they touch; whether
 * a residual block is there; or what {@link SearchSpace.addHyperparameter} added.
 */
export interface Hyperparameter {
  /**
   * Of a width, the path of the first module whose output channels they are, such as `layer1.0.conv1`; of a block, its
   * path and `.depth`, such as `layer1.1.depth`; of one of the user's own, what it was given.
   */
  readonly name: string;
  /** What it counts. */
  readonly kind: HyperparameterKind;
  /**
   * What can be chosen, ascending; the last one is the full model's. Of a block: 0 (left out) and 1. Of one of the user's
   * own: numbers, or positions of tensors, in the order given, and the model's own last.
   */
  readonly choices: readonly number[];
  /** The value of the model as it was converted. */
  readonly full: number;
  /** The value in the subnet that is selected now. */
  readonly active: number;
  /** Place, in the order of execution, of the first operator that it changes: what runs before is the same for all choices. */
  readonly begins: number;
}

/** What kept activations have spared; see {@link SearchSpace.reuse}. */
export interface ActivationReuse {
  /** Bytes that may be held; 0 while nothing is kept. */
  budget: number;
  /** Bytes held now, and the most that were. */
  bytes: number;
  /** The most bytes that were held. */
  peak: number;
  /** Batches' activations held now. */
  entries: number;
  /** Forwards since the space was made, while activations were kept; how many went on from kept ones. */
  forwards: number;
  /** Forwards that went on from kept activations. */
  hits: number;
  /** Operators that these forwards ran, and those that they were spared; the same in multiply-adds. */
  instructionsRun: number;
  /** Operators that these forwards were spared. */
  instructionsSkipped: number;
  /** Multiply-adds that these forwards ran. */
  macsRun: number;
  /** Multiply-adds that these forwards were spared. */
  macsSkipped: number;
}

/** A dimension of a parameter that stays whole, and why. */
export interface Unprunable {
  /** The parameter's path. */
  parameter: string;
  /** Counted from 0. */
  dimension: number;
  /** A sentence. */
  reason: string;
}

/** Options of {@link SearchSpace.recalibrate}. */
export interface RecalibrateOptions extends RunContext {
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: ((batch: never) => unknown) | null;
  /** At most so many batches of a loader; null (the default) for all. */
  maxBatches?: number | null;
}

/** Where a space comes from; makes its {@link SearchSpace.fingerprint}. */
export interface SpaceOrigin {
  mode: string;
  /** The module's fingerprint before it was converted. */
  moduleFingerprint: string;
  /** The settings of the conversion that decide what a width stands for. */
  settings: Readonly<Record<string, string | number | boolean>>;
}

/**
 * A module of which narrower subnets can be selected, run, priced and exported; made by `convert()`. At first the
 * full model is selected. Selecting copies nothing: a subnet's weights are the leading channels of the full ones,
 * which the conversion put in order of importance.
 *
 * A search space is for evaluation: it has no training mode. `trainSupernet()` trains the weights that all subnets share;
 * `finetune()` trains the module that {@link SearchSpace.export} gives.
 */
export class SearchSpace extends EvaluationSpace<NativeSearchSpace> implements SearchModel {
  /** The mode it was converted by, such as `fastnas`. */
  readonly mode: string;
  /** Dimensions that stay whole, with the reason. */
  readonly unprunable: readonly Readonly<Unprunable>[];

  readonly #origin: SpaceOrigin;
  /** What changed since the conversion, for the fingerprint. */
  readonly #changes: Record<string, string> = {};
  /** What hyperparameters of the user's own choose, by name. */
  readonly #targets: Record<string, CustomTarget> = {};
  #fingerprint: string;
  #hyperparameters: readonly Hyperparameter[];
  readonly #index: Map<string, number>;
  #latencyTable: LatencyTable | null = null;
  readonly #custom = new Map<string, CostFunction>();
  /** 1 at each width that is a choice, by hyperparameter. */
  readonly #allowed: readonly Uint8Array[];
  /** Positions of values among the choices, of each hyperparameter of the user's own: what they are on the native side. */
  readonly #positions: ReadonlyMap<number, number>[] = [];
  /** Widths on their way to the native side, which reads them before it returns: a query makes no garbage. */
  #widths: Int32Array;

  private constructor(native: NativeSearchSpace, origin: SpaceOrigin) {
    super(native);
    this.mode = origin.mode;
    this.#origin = origin;
    this.#fingerprint = fingerprintOf(origin);
    this.unprunable = native.unprunable();
    this.#hyperparameters = native.hyperparameters().map(({ name, kind, choices, full, begins }, at) => ({
      name,
      kind,
      choices: Object.freeze([...choices]),
      full,
      begins,
      get active(): number {
        return native.active()[at] as number;
      },
    }));
    this.#index = new Map(this.#hyperparameters.map(({ name }, at) => [name, at]));
    this.#allowed = this.#hyperparameters.map(({ choices, full }) => {
      const allowed = new Uint8Array(full + 1);
      for (const width of choices) allowed[width] = 1;
      return allowed;
    });
    this.#widths = new Int32Array(this.#hyperparameters.length);
  }

  /** @internal */
  static wrap(native: NativeSearchSpace, origin: SpaceOrigin): SearchSpace {
    return new SearchSpace(native, origin);
  }

  /**
   * What can be chosen: widths, then blocks, each in the order of the model's execution; then what
   * {@link addHyperparameter} added.
   */
  get hyperparameters(): readonly Hyperparameter[] {
    return this.#hyperparameters;
  }

  protected override get noTraining(): string {
    return "A search space has no training mode: train the weights that all subnets share with trainSupernet(), or export() a subnet and finetune() that.";
  }

  /**
   * Hexadecimal SHA-256 of the module's graph and weights as they were before the conversion, of the mode, and of the
   * conversion's settings; once `trainSupernet()` has changed the weights, of these too, and of the hyperparameters that
   * were added, with their values. It doesn't depend on what is selected.
   */
  async fingerprint(options: CallOptions = {}): Promise<string> {
    throwIfAborted(options.signal);
    return this.#fingerprint;
  }

  /** @internal The shared weights were trained, to those of this fingerprint. */
  trainedTo(weights: string): void {
    this.#changed("trainedTo", weights);
  }

  #changed(what: string, digest: string): void {
    this.#changes[what] = digest;
    const { settings, ...origin } = this.#origin;
    this.#fingerprint = fingerprintOf({ ...origin, settings: { ...settings, ...this.#changes } });
  }

  /**
   * Numbers that operators are given and that a hyperparameter may change: slopes, bounds, scales, epsilons, in the order
   * of the model's execution. Those that follow from sizes or inputs are not among them.
   *
   * @throws `ERR_CLOSED`
   */
  constants(): readonly GraphConstant[] {
    return this.native.constants();
  }

  /**
   * Adds a hyperparameter of your own: other tensors in the place of a parameter or buffer, or other numbers in the place
   * of a constant of the graph. It takes part in all that the others do: `select`, `sample`, every searcher, checkpoints
   * (a checkpoint of a space with other hyperparameters or values is refused) and `export`, whose module holds the chosen
   * tensor or number. What the library counts it never changes; a cost of your own ({@link addMetric}) may depend on it:
   * then give the cheaper values first. It stays for the life of the space; at first the model's own value is selected.
   *
   * Every value is tried once, on the dummy input. Tensors that are narrowed with widths are so in each choice.
   *
   * @param name none of the hyperparameters that there are
   * @returns the hyperparameter, of kind `custom`
   * @throws `ERR_ARGUMENT`; `ERR_UNKNOWN_TENSOR`, `ERR_UNKNOWN_CONSTANT` naming the nearest one; `ERR_HYPERPARAMETER` for a
   *   name or target that is taken, no value beside the model's own, tensors of another shape or dtype or with elements
   *   that are not finite, a number that changes shapes or dtypes or makes the model fail; `ERR_DATA_DEPENDENT` where the
   *   model's control flow or numbers follow from the tensor's values; `ERR_CHOICE` for `active`; `ERR_BUSY` while the space
   *   is searched or trained; `ERR_CLOSED`, `ERR_ABORTED`
   */
  async addHyperparameter(
    name: string,
    definition: CustomHyperparameter,
    options: CallOptions = {},
  ): Promise<Hyperparameter> {
    return exclusively(this, async () => {
      const added = await addCustom(this.native, name, definition, options);
      const at = this.#hyperparameters.length;
      const { native } = this;
      const choices = Object.freeze([...added.choices]);
      const hyperparameter: Hyperparameter = {
        name,
        kind: "custom",
        choices,
        full: choices.at(-1) as number,
        begins: added.begins,
        get active(): number {
          return choices[native.active()[at] as number] as number;
        },
      };
      this.#hyperparameters = [...this.#hyperparameters, hyperparameter];
      this.#index.set(name, at);
      this.#positions.push(new Map(choices.map((choice, position) => [choice, position])));
      this.#widths = new Int32Array(this.#hyperparameters.length);
      this.#targets[name] = added.target;
      this.#changed(`hyperparameter ${at}`, added.target.digest);
      if (added.active !== null) this.select({ [name]: added.active });
      return hyperparameter;
    });
  }

  /** Remembers the selected subnet; the function it gives selects it again. */
  captureState(): () => void {
    const widths = this.native.active();
    return () => this.native.select(widths);
  }

  /** The selected subnet. */
  get active(): SubnetConfig {
    return this.#toConfig(this.native.active());
  }

  /** The full model. */
  get fullConfig(): SubnetConfig {
    return Object.fromEntries(this.hyperparameters.map(({ name, full }) => [name, full]));
  }

  /** The smallest subnet: the first choice of every hyperparameter. No subnet costs less, by any metric. */
  get smallestConfig(): SubnetConfig {
    return Object.fromEntries(this.hyperparameters.map(({ name, choices }) => [name, choices[0] as number]));
  }

  /**
   * Selects a subnet, without computing or copying anything. Batch-norm statistics that were recalibrated for the
   * subnet selected before are dropped.
   *
   * @param config widths by name; a hyperparameter that it leaves out keeps its active width
   * @throws `ERR_UNKNOWN_HYPERPARAMETER` naming the nearest one, `ERR_CHOICE` for a width that is none of the choices,
   *   `ERR_CLOSED`; the selection then is as before
   */
  select(config: Readonly<SubnetConfig>): void {
    this.native.select(this.#toWidths(config));
  }

  /**
   * Lets forwards keep activations, so that a later subnet goes on from where it first differs from an earlier one, in
   * evaluation and in recalibration. What to keep follows from {@link expect}. Scores and statistics are, bit by bit,
   * those of full forwards: activations are known by the contents of inputs, weights and statistics that they were
   * computed from, so changed data, weights or another loader never meet stale ones. Searchers do all this by themselves
   * (`activationCache` in their config).
   *
   * @param bytes the most to hold, on the space's device; 0 keeps nothing and frees what is held
   * @throws `ERR_CONFIG_VALUE`, `ERR_CLOSED`
   */
  reuseActivations(bytes: number): void {
    this.native.reuseActivations(bytes);
  }

  /**
   * The subnets that will be selected next, in this order, for {@link reuseActivations}; replaces what was expected
   * before. Most is spared when subnets that have much in common, from the first operator on, follow each other.
   *
   * @throws `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`, `ERR_CLOSED`
   */
  expect(configs: readonly Readonly<SubnetConfig>[]): void {
    this.native.expect(configs.map((config) => this.#toWidths(config).slice()));
  }

  /** What kept activations hold and have spared so far. @throws `ERR_CLOSED` */
  get reuse(): ActivationReuse {
    return this.native.reuse();
  }

  /** A random subnet: a uniform choice of each hyperparameter. Selects nothing. */
  sample(rng: Random): SubnetConfig {
    if (!(rng instanceof Random))
      throw expected("ERR_ARGUMENT", "a Random, such as new Random(0),", "rng", rng);
    return Object.fromEntries(this.hyperparameters.map(({ name, choices }) => [name, rng.choice(choices)]));
  }

  /**
   * What a subnet costs on inputs of the dummy input's shape, without running or selecting it. Over 100,000 queries a
   * second for resnet50's space.
   *
   * @param config widths by name; a hyperparameter that it leaves out counts with its active width
   * @param metric `params` (elements of all parameters), `macs` (multiply-adds), `flops` (2 x `macs`), `size` (bytes of
   *   all parameters and buffers), `memory` (bytes of these, of inputs and of activations at the peak of a forward; see
   *   `Profile.memory`), `latency` (milliseconds of a forward, by the latency table)
   * @throws `ERR_UNKNOWN_METRIC`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`, `ERR_NO_LATENCY_TABLE`, `ERR_CLOSED`
   */
  cost(config: Readonly<SubnetConfig>, metric: SpaceMetric): number {
    const custom = this.#custom.get(metric);
    if (custom !== undefined)
      return this.#customCost(metric, custom, this.#toConfig([...this.#toWidths(config)]));
    if (!ALL_METRICS.includes(metric)) throw unknownMetric(metric, [...ALL_METRICS, ...this.#custom.keys()]);
    if (metric === "latency" && this.#latencyTable === null && !this.closed) throw noLatencyTable();
    return this.native.cost(this.#toWidths(config), metric);
  }

  /** All {@link metrics} of a subnet; see {@link cost}. */
  costs(config: Readonly<SubnetConfig>): SpaceCosts {
    const widths = this.#toWidths(config);
    const complete = this.#custom.size === 0 ? config : this.#toConfig([...widths]);
    // Those of the user's own come last, and may ask for costs that overwrite the widths.
    return Object.fromEntries(
      this.metrics.map((metric) => {
        const custom = this.#custom.get(metric);
        return [
          metric,
          custom === undefined
            ? this.native.cost(widths, metric)
            : this.#customCost(metric, custom, { ...complete }),
        ];
      }),
    ) as SpaceCosts;
  }

  /**
   * What {@link cost} knows now: {@link SPACE_METRICS}, `latency` when there is a latency table, and what {@link addMetric}
   * added.
   */
  get metrics(): readonly SpaceMetric[] {
    const own = this.#latencyTable === null ? SPACE_METRICS : ALL_METRICS;
    return this.#custom.size === 0 ? own : [...own, ...this.#custom.keys()];
  }

  /**
   * Adds a cost of your own, which constraints may name beside the built-in ones: `{ flops: "60%", energy: "70%" }`. It stays for
   * the life of the space.
   *
   * @param name letters, digits and underscores; none of the metrics that there are
   * @param cost called synchronously, for every candidate: keep it quick
   * @throws `ERR_ARGUMENT`; from what asks for the cost: `ERR_COST_FAILED` with a cause when it throws, `ERR_COST_NAN` when it
   *   gives anything but a finite number of at least 0
   */
  addMetric(name: string, cost: CostFunction): this {
    if (typeof name !== "string" || !/^[A-Za-z]\w*$/.test(name))
      throw expected("ERR_ARGUMENT", "letters, digits and underscores", "the metric's name", name);
    if (!isFunction(cost)) throw expected("ERR_ARGUMENT", "a function of a config", "cost", cost);
    if ((KNOWN_METRICS as readonly string[]).includes(name) || this.#custom.has(name)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `There is a metric "${name}" already; add yours by another name.`,
      );
    }
    this.#custom.set(name, cost);
    return this;
  }

  #customCost(name: string, cost: CostFunction, complete: Readonly<SubnetConfig>): number {
    let value: unknown;
    try {
      value = cost(complete, this);
    } catch (error) {
      throw wrapFailure(error, null, "ERR_COST_FAILED", `the cost "${name}"`);
    }
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
      throw expected("ERR_COST_NAN", "a finite number of at least 0", `the cost "${name}"`, value);
    return value;
  }

  /**
   * Measures operators for a latency table, on this machine and the space's device: forwards of a few subnets, chosen so
   * that each operator meets each of `points` widths (each pair, where two of its sizes vary), are timed operator by
   * operator. Equal operators share a measurement. Selects nothing; the table is used once {@link useLatencyTable} is
   * given it.
   *
   * @returns `options.table`, completed, or a new table
   * @throws `ERR_LATENCY_TABLE_MISMATCH` when `options.table` was measured under other conditions; `ERR_ARGUMENT`,
   *   `ERR_FORWARD`, `ERR_OUT_OF_MEMORY`, `ERR_CLOSED`, `ERR_ABORTED`; the table then is as before
   */
  async measureLatency(options: MeasureLatencyOptions = {}): Promise<LatencyTable> {
    return measureTable(this.native, options);
  }

  /** What latencies are computed from, or null. */
  get latencyTable(): LatencyTable | null {
    return this.#latencyTable;
  }

  /**
   * Computes latencies from a table from now on, as it is now: the sum over a subnet's operators, interpolated linearly
   * between the measured sizes. The table may be of another machine. Null takes the latencies away.
   *
   * @throws `ERR_LATENCY_TABLE_INCOMPLETE` when the table lacks some of the space's operators, and what was used before
   *   stays in use; `ERR_ARGUMENT`, `ERR_CLOSED`
   */
  useLatencyTable(table: LatencyTable | null): void {
    if (table !== null && !(table instanceof LatencyTable))
      throw expected("ERR_ARGUMENT", "a LatencyTable or null", "table", table);
    this.native.useLatencyTable(table === null ? null : toNativeTable(table));
    this.#latencyTable = table;
  }

  /**
   * How far the latency table's predictions are from measurements: the smallest, the full and some random subnets are
   * run as wholes, with weights of their own as exported subnets have, on as many threads as the table was measured
   * with. Selects nothing.
   *
   * @throws `ERR_NO_LATENCY_TABLE`; `ERR_LATENCY_TABLE_MISMATCH` when the table is of another device; `ERR_ARGUMENT`,
   *   `ERR_CLOSED`, `ERR_ABORTED`
   */
  async latencyError(options: LatencyErrorOptions = {}): Promise<LatencyError> {
    const { samples = 8, seed = 0, signal } = options;
    const timing = readTiming(options);
    requireCount("samples", samples);
    const table = this.#latencyTable;
    if (table === null) throw noLatencyTable();
    table.requireConditions({ device: this.device });
    const rng = new Random(seed);
    const random = Array.from({ length: samples }, () => this.sample(rng));
    const configs = [this.smallestConfig, this.fullConfig, ...random];
    const predicted = configs.map((config) => this.cost(config, "latency"));
    const measured = await callNative(
      (call) =>
        this.native.timeSubnets(
          configs.map((config) => this.#toWidths(config).slice()),
          { ...timing, threads: table.conditions.threads },
          call,
        ),
      signal,
      progressTo(options.onProgress),
    );
    return latencyErrorOf(
      configs.map((config, at) => ({
        config,
        predicted: predicted[at] as number,
        measured: measured[at] as number,
      })),
    );
  }

  /**
   * Computes the selected subnet's own batch-norm statistics: the mean, over the batches, of each batch's mean and
   * variance. They hold until another subnet is selected, and are exported with it. The weights stay as they are.
   *
   * @param data batches (an iterable, or a generator function), or a function that runs the model over some
   * @throws `ERR_ARGUMENT`, `ERR_EMPTY_LOADER`, `ERR_ABORTED`, and what running the data throws
   */
  async recalibrate(data: DataSource | ForwardLoop, options: RecalibrateOptions = {}): Promise<void> {
    if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches or a forward loop", "data", data);
    throwIfAborted(options.signal);
    this.native.recalibrate(true);
    try {
      // A plain function is a forward loop; only a generator function surely makes batches.
      if (typeof data === "function" && !types.isGeneratorFunction(data))
        await (data as unknown as ForwardLoop)(this, options);
      else await runForwardLoop(this, data as DataSource, options);
    } finally {
      if (!this.closed) this.native.recalibrate(false);
    }
    throwIfAborted(options.signal);
  }

  /**
   * The selected subnet as a module of its own, with really smaller weights (and its recalibrated statistics). It can
   * be saved, opened by Python's `torch.jit.load`, and trained. It is in evaluation mode. Its `history` continues that
   * of the module that was converted.
   *
   * @throws `ERR_CLOSED`, `ERR_ABORTED`
   */
  async export(options: ExportOptions = {}): Promise<Module> {
    const config = this.active;
    const custom = Object.keys(this.#targets).length > 0 && { custom: this.#targets };
    const result = { config, costs: this.costs(config), fullCosts: this.costs(this.fullConfig), ...custom };
    const subnet = Module.wrap(await callNative((call) => this.native.exportSubnet(call), options.signal));
    recordExport(subnet, this, result, options.search);
    return subnet.training ? subnet.eval() : subnet;
  }

  /**
   * What each channel matters, in units of the loss, so that layers compare: the first-order change of a batch's loss without
   * it (Molchanov et al., CVPR 2019), by gradients of the full model over batches, averaged over them.
   *
   * @returns a list by hyperparameter, in the order in which channels are kept; empty for one that is no width
   * @throws `ERR_CONFIG_VALUE`, `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT`, `ERR_GRADIENT`, `ERR_IMPORTANCE_NAN`,
   *   `ERR_CLOSED`, `ERR_ABORTED`
   */
  async channelScores(config: ChannelScoreConfig): Promise<Record<string, number[]>> {
    const scores = await measureChannels(this.native, config);
    return Object.fromEntries(this.hyperparameters.map(({ name }, at) => [name, scores[at] ?? []]));
  }

  /** Of what the native side knows values as. */
  #toConfig(widths: readonly number[]): SubnetConfig {
    const own = this.#allowed.length;
    return Object.fromEntries(
      this.hyperparameters.map(({ name, choices }, at) => {
        const width = widths[at] as number;
        return [name, at < own ? width : (choices[width] as number)];
      }),
    );
  }

  /** What the native side knows a value as; -1 when it is none of the choices. */
  #nativeValue(at: number, value: unknown): number {
    if (typeof value !== "number") return -1;
    const allowed = this.#allowed[at];
    if (allowed !== undefined) return allowed[value] === 1 ? value : -1;
    return this.#positions[at - this.#allowed.length]?.get(value) ?? -1;
  }

  /** Gives the one array that all calls share. */
  #toWidths(config: Readonly<SubnetConfig>): Int32Array {
    if (!isRecord(config)) {
      throw expected("ERR_ARGUMENT", "an object of widths by hyperparameter", "the subnet's config", config);
    }
    const { hyperparameters } = this;
    const widths = this.#widths;
    let found = 0;
    for (let at = 0; at < hyperparameters.length; at++) {
      const value: unknown = config[(hyperparameters[at] as Hyperparameter).name];
      const width = this.#nativeValue(at, value);
      if (width < 0) continue;
      widths[at] = width;
      found += 1;
    }
    // Nearly all queries name every hyperparameter, and nothing else.
    if (found < hyperparameters.length || Object.keys(config).length !== found) this.#completeWidths(config);
    return widths;
  }

  /** Where a config leaves something out, or is wrong. */
  #completeWidths(config: Readonly<SubnetConfig>): void {
    const widths = this.#widths;
    widths.set(this.native.active());
    for (const [name, value] of Object.entries(config)) {
      const at = this.#index.get(name);
      if (at === undefined) {
        throw new TorchSearchError(
          "ERR_UNKNOWN_HYPERPARAMETER",
          `unknown hyperparameter "${name}": ${suggestion(name, [...this.#index.keys()])}`,
        );
      }
      const width = this.#nativeValue(at, value);
      if (width < 0) {
        const { choices } = this.hyperparameters[at] as Hyperparameter;
        throw expected("ERR_CHOICE", `one of ${choices.join(", ")}`, name, value);
      }
      widths[at] = width;
    }
  }
}

function unknownMetric(metric: string, known: readonly string[]): TorchSearchError {
  return new TorchSearchError(
    "ERR_UNKNOWN_METRIC",
    `unknown metric ${JSON.stringify(metric)}: ${suggestion(String(metric), known)}`,
  );
}

function fingerprintOf({ mode, moduleFingerprint, settings }: SpaceOrigin): string {
  const entries = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([moduleFingerprint, mode, entries]))
    .digest("hex");
}
