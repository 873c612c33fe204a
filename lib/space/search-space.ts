/** The search space of widths and blocks: its subnets are selected, run, priced and exported. */
import { types } from "node:util";
import type { BoundsOn } from "../contract/types";
import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { runForwardLoop } from "../evaluation/forward-loop";
import { exclusively } from "../evaluation/model-guard";
import type { ForwardLoop, SearchModel } from "../evaluation/types";
import type { Module } from "../model/module";
import type { CallOptions } from "../model/types";
import { callNative } from "../native/call";
import type { NativeSearchSpace, NativeWidths } from "../native/types/search-space";
import type { LatencyTable } from "../profile/latency-table";
import { orAbandoned, throwIfAborted } from "../util/abort";
import { expected, requireOptions, requirePath } from "../util/check";
import { jsonDigest } from "../util/digest";
import { Random } from "../util/random";
import { CostBook } from "./cost-book";
import {
  addCustom,
  type CustomHyperparameter,
  type CustomTarget,
  type GraphConstant,
} from "./custom-hyperparameter";
import { EvaluationSpace } from "./evaluation-space";
import { warnOfLostMethods } from "./export-losses";
import type { TriedImportance } from "./importance";
import {
  type ChannelRank,
  type ChannelScoreConfig,
  measureChannels,
  type RankConfig,
  scoreChannels,
} from "./importance";
import {
  compareLatencies,
  type LatencyError,
  type LatencyErrorOptions,
  type MeasureLatencyOptions,
  measureTable,
  noLatencyTable,
  readErrorOptions,
} from "./latency";
import type { ExportOptions } from "./mode-space";
import { byName, sampleChoices } from "./names";
import { writeRecipe } from "./recipe";
import {
  KeptReconstruction,
  type ReconstructedLayer,
  type ReconstructOptions,
  reconstructLayers,
} from "./reconstruction";
import { Study } from "./study";
import type { StudyOptions } from "./study-options";
import type {
  ActivationReuse,
  Hyperparameter,
  RecalibrateOptions,
  SpaceCosts,
  SpaceMetric,
  SpaceOrigin,
  SubnetConfig,
  Unprunable,
} from "./types";
import { WidthCodec } from "./width-codec";
import { type ControlledHyperparameter, controlled, WIDTH_CONTROL_DEFAULTS } from "./width-control";

/**
 * A cost of the user's own, computed from a complete config without running anything; the lower, the better. Any unit
 * is possible. Searchers assume that it never rises where a width shrinks.
 */
export type CostFunction = (config: Readonly<SubnetConfig>, space: SearchSpace) => number;

/**
 * A module of which narrower subnets can be selected, run, priced and exported; made by `convert()`. At first the
 * full model is selected. Selecting copies nothing: a subnet's weights are the leading channels of the full ones,
 * which the conversion put in order of importance.
 *
 * A search space is for evaluation: it has no training mode. `trainSupernet()` trains the weights that all subnets
 * share; `finetune()` trains the module that {@link SearchSpace.export} gives.
 *
 * @example
 * ```ts
 * const widths = await convert(module, "fastnas", dummyInput);
 * for (const { name, choices } of widths.hyperparameters) console.log(name, choices);
 * widths.select(widths.smallestConfig);
 * console.log(await widths.forward(dummyInput), widths.cost(widths.active, "flops"));
 * const subnet = await widths.export();
 * ```
 */
export class SearchSpace<Own extends string = never>
  extends EvaluationSpace<NativeSearchSpace>
  implements SearchModel
{
  /** The mode it was converted by, such as `fastnas`. */
  readonly mode: string;
  /** Dimensions that stay whole, with the reason. */
  readonly unprunable: readonly Readonly<Unprunable>[];
  /** What exported subnets may be without, in sentences: methods beside `forward`, and what only training does. */
  readonly exportLosses: readonly string[];
  /** The measures that the conversion's `importance: "auto"` tried, the best first; null without it. */
  readonly importances: readonly Readonly<TriedImportance>[] | null;

  readonly #origin: SpaceOrigin;
  /** The changes since the conversion, for the fingerprint. */
  readonly #changes: Record<string, string> = {};
  /** The targets of hyperparameters of the user's own, by name. */
  readonly #targets: Record<string, CustomTarget> = {};
  readonly #codec: WidthCodec;
  /** How many layers of the selected subnet have weights of its own. */
  #reconstructed = 0;
  /** By which candidates of searches are reconstructed; null where they aren't. */
  #kept: KeptReconstruction | null = null;
  /** How often a subnet was selected. */
  #selections = 0;
  readonly #costs: CostBook<SearchSpace>;

  private constructor(
    native: NativeSearchSpace,
    wanted: readonly ControlledHyperparameter[],
    origin: SpaceOrigin,
  ) {
    super(native);
    this.mode = origin.mode;
    this.#origin = origin;
    this.unprunable = native.unprunable();
    this.exportLosses = native.exportLosses();
    this.importances = origin.importances ?? null;
    this.#codec = new WidthCodec(native, wanted);
    this.#costs = new CostBook<SearchSpace>(native, this.#codec, this);
  }

  /** @internal */
  static wrap(
    native: NativeSearchSpace,
    origin: SpaceOrigin,
    wanted: readonly ControlledHyperparameter[] = controlled(
      native.hyperparameters(),
      WIDTH_CONTROL_DEFAULTS,
      1,
    ),
  ): SearchSpace {
    return new SearchSpace(native, wanted, origin);
  }

  /**
   * The hyperparameters: widths, then blocks, each in the order of the model's execution; then what
   * {@link addHyperparameter} added.
   */
  get hyperparameters(): readonly Hyperparameter[] {
    return this.#codec.hyperparameters;
  }

  protected override get noTraining(): string {
    return "A search space has no training mode: train the weights that all subnets share with trainSupernet(), or export() a subnet and finetune() that.";
  }

  /**
   * Depends on the module's graph and weights as they were before the conversion, the mode and the conversion's
   * settings; once `trainSupernet()` has changed the weights, on these too; and on the hyperparameters that were added,
   * with their values.
   */
  protected override get digest(): string {
    const { mode, moduleFingerprint, settings } = this.#origin;
    const entries = Object.entries({ ...settings, ...this.#changes }).sort(([a], [b]) => (a < b ? -1 : 1));
    return jsonDigest([moduleFingerprint, mode, entries]);
  }

  /** @internal A config as the native side has it: one value for each of its hyperparameters. */
  nativeWidths(config: Readonly<SubnetConfig>): number[] {
    return [...this.#codec.toWidths(config)];
  }

  /** @internal Records that training changed the shared weights to the ones of this fingerprint. */
  trainedTo(weights: string): void {
    this.#changes.trainedTo = weights;
    // Sums of what the layers read before are of other weights: rateReconstructed() gathers them anew.
    this.#kept = null;
    delete this.#changes.reconstructed;
  }

  /**
   * Numbers that operators are given and that a hyperparameter may change: slopes, bounds, scales, epsilons, in the
   * order of the model's execution. Numbers that follow from sizes or inputs are not among them.
   *
   * @throws `ERR_CLOSED`
   */
  constants(): readonly GraphConstant[] {
    return this.native.constants();
  }

  /**
   * Adds a hyperparameter of your own: other tensors in the place of a parameter or buffer, or other numbers in the
   * place of a constant of the graph. It takes part in everything that the others do: `select`, `sample`, every
   * searcher, checkpoints (a checkpoint of a space with other hyperparameters or values is refused) and `export`, whose
   * module holds the chosen tensor or number. It never changes the library's own metrics. A cost of your own
   * ({@link addMetric}) may depend on it: then give the cheaper values first. It stays for the life of the space; at
   * first the model's own value is selected.
   * Every value is tried once, on the dummy input. Tensors that are narrowed with widths are narrowed in each choice.
   *
   * @param name a name that no other hyperparameter has
   * @returns the hyperparameter, of kind `custom`
   * @throws `ERR_ARGUMENT`; `ERR_UNKNOWN_TENSOR`, `ERR_UNKNOWN_CONSTANT` naming the nearest one; `ERR_HYPERPARAMETER`
   *   for a name or target that is taken, no value beside the model's own, tensors of another shape or dtype or with
   *   elements that are not finite, a number that changes shapes or dtypes or makes the model fail;
   *   `ERR_DATA_DEPENDENT` where the model's control flow or numbers follow from the tensor's values; `ERR_CHOICE` for
   *   `active`; `ERR_BUSY` while the space is searched or trained; `ERR_CLOSED`, `ERR_ABORTED`
   */
  async addHyperparameter(
    name: string,
    definition: CustomHyperparameter,
    options: CallOptions = {},
  ): Promise<Hyperparameter> {
    requireOptions(options, "addHyperparameter");
    return exclusively(this, async () => {
      const added = await addCustom(this.native, name, definition, options);
      const at = this.hyperparameters.length;
      const hyperparameter = this.#codec.add(name, added);
      this.#targets[name] = added.target;
      this.#changes[`hyperparameter ${at}`] = added.target.digest;
      if (added.active !== null) this.select({ [name]: added.active });
      return hyperparameter;
    });
  }

  /** Remembers the selected subnet; the function it gives selects it again. */
  captureState(): () => void {
    const widths = this.native.active();
    return () => this.#select(widths);
  }

  /** The selected subnet. */
  get active(): SubnetConfig {
    return this.#codec.toConfig(this.native.active());
  }

  /** The full model. */
  get fullConfig(): SubnetConfig {
    return byName(this.hyperparameters, ({ full }) => full);
  }

  /** The largest subnet that may be chosen: the full model, unless the config's `maxWidth` is below it. */
  get largestConfig(): SubnetConfig {
    return byName(this.hyperparameters, ({ choices }) => choices.at(-1) as number);
  }

  /** The smallest subnet: the first choice of every hyperparameter. No subnet costs less, by any metric. */
  get smallestConfig(): SubnetConfig {
    return byName(this.hyperparameters, ({ choices }) => choices[0] as number);
  }

  /**
   * Selects a subnet, without computing or copying anything. Batch-norm statistics that were recalibrated for the
   * subnet selected before are dropped.
   *
   * @param config widths by name; a hyperparameter that it leaves out keeps its active width
   * @throws `ERR_UNKNOWN_HYPERPARAMETER` naming the nearest one, `ERR_CHOICE` for a width that is not one of the
   *   choices, `ERR_CLOSED`; the selection then is as before
   */
  select(config: Readonly<SubnetConfig>): void {
    this.#select(this.#codec.toWidths(config));
  }

  #select(widths: NativeWidths): void {
    this.native.select(widths);
    this.#selections += 1;
    this.#reconstructed = 0;
  }

  /**
   * Lets forwards keep activations, so that a later subnet continues from where it first differs from an earlier one,
   * in evaluation and in recalibration. {@link expect} decides what is kept. Scores and statistics are, bit by bit, the
   * same as in full forwards: activations are identified by the contents of the inputs, weights and statistics that
   * they were computed from, so changed data, weights or another loader never meet stale ones. Searchers do all this
   * by themselves (`activationCache` in their config).
   *
   * @param bytes the most to hold, on the space's device; 0 keeps nothing and frees what is held
   * @throws `ERR_CONFIG_VALUE`, `ERR_CLOSED`
   */
  reuseActivations(bytes: number): void {
    this.native.reuseActivations(bytes);
  }

  /**
   * Names the subnets that will be selected next, in this order, for {@link reuseActivations}; replaces what was
   * expected before. Reuse saves most when subnets that have much in common, from the first operator on, follow each
   * other.
   *
   * @throws `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`, `ERR_CLOSED`
   */
  expect(configs: readonly Readonly<SubnetConfig>[]): void {
    if (!Array.isArray(configs)) throw expected("ERR_ARGUMENT", "an array of configs", "configs", configs);
    this.native.expect(configs.map((config) => this.#codec.toWidths(config).slice()));
  }

  /** The memory of kept activations, and the work that they have saved so far. @throws `ERR_CLOSED` */
  get reuse(): ActivationReuse {
    return this.native.reuse();
  }

  /** A random subnet: a uniform choice of each hyperparameter. Selects nothing. */
  sample(rng: Random): SubnetConfig {
    return sampleChoices(this.hyperparameters, rng);
  }

  /** Begins a {@link Study}, for an optimizer of your own. @throws errors of constraints and options, as a search does */
  study(constraints: BoundsOn<SpaceMetric<Own>> = {}, options: StudyOptions = {}): Study {
    return new Study(this, constraints as BoundsOn<string>, options);
  }

  /**
   * The cost of a subnet on inputs of the dummy input's shape, without running or selecting it. Over 100,000 queries a
   * second for resnet50's space.
   *
   * @param config widths by name; a hyperparameter that it leaves out counts with its active width
   * @param metric `params` (elements of all parameters), `macs` (multiply-adds), `flops` (2 x `macs`), `size` (bytes of
   *   all parameters and buffers), `memory` (bytes of these, of inputs and of activations at the peak of a forward; see
   *   `Profile.memory`), `latency` (milliseconds of a forward, by the latency table), or a name given to
   *   {@link addMetric}
   * @throws `ERR_UNKNOWN_METRIC`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`, `ERR_NO_LATENCY_TABLE`, `ERR_CLOSED`
   */
  cost(config: Readonly<SubnetConfig>, metric: SpaceMetric<Own>): number {
    return this.#costs.cost(config, metric);
  }

  /** All {@link metrics} of a subnet; see {@link cost}. */
  costs(config: Readonly<SubnetConfig>): SpaceCosts<Own> {
    return this.#costs.costs(config) as SpaceCosts<Own>;
  }

  /**
   * The metrics that {@link cost} knows now: `SPACE_METRICS`, `latency` when there is a latency table, and what
   * {@link addMetric} added.
   */
  get metrics(): readonly (SpaceMetric | (string & {}))[] {
    return this.#costs.metrics;
  }

  /**
   * Adds a cost of your own, which constraints may name beside the built-in ones: `{ flops: "60%", energy: "70%" }`. It
   * stays for the life of the space.
   *
   * @param name letters, digits and underscores; a name that no other metric has
   * @param cost called synchronously, for every candidate: keep it quick
   * @returns this space, with the metric in its type: `constraints` that name it compile on it
   * @throws `ERR_ARGUMENT`; from what asks for the cost: `ERR_COST_FAILED` with a cause when it throws, `ERR_COST_NAN`
   *   when it gives anything but a finite number of at least 0
   */
  addMetric<Name extends string>(
    name: Name,
    cost: CostFunction,
  ): SearchSpace<Own | Name> & Pick<this, "mode"> {
    this.#costs.add(name, cost);
    return this as SearchSpace<Own | Name> & this;
  }

  /**
   * Measures operators for a latency table, on this machine and the space's device: forwards of a few subnets, chosen
   * so that each operator meets each of `points` widths (each pair, where two of its sizes vary), are timed operator by
   * operator. Equal operators share a measurement. Selects nothing; the table is used once {@link useLatencyTable} is
   * given it.
   *
   * @returns `options.table`, completed, or a new table
   * @throws `ERR_LATENCY_TABLE_MISMATCH` when `options.table` was measured under other conditions; `ERR_ARGUMENT`,
   *   `ERR_FORWARD`, `ERR_OUT_OF_MEMORY`, `ERR_CLOSED`, `ERR_ABORTED`; the table then is as before
   */
  async measureLatency(options: MeasureLatencyOptions = {}): Promise<LatencyTable> {
    requireOptions(options, "measureLatency");
    return measureTable(this.native, options);
  }

  /** The table that latencies are computed from, or null. */
  get latencyTable(): LatencyTable | null {
    return this.#costs.latencyTable;
  }

  /**
   * Computes latencies from a table from now on, as the table is now: the sum over a subnet's operators, interpolated
   * linearly between the measured sizes. The table may come from another machine. Null removes the latencies.
   *
   * @throws `ERR_LATENCY_TABLE_INCOMPLETE` when the table lacks some of the space's operators, and what was used before
   *   stays in use; `ERR_ARGUMENT`, `ERR_CLOSED`
   */
  useLatencyTable(table: LatencyTable | null): void {
    this.#costs.useLatencyTable(table);
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
    requireOptions(options, "latencyError");
    const { samples, seed } = readErrorOptions(options);
    const table = this.latencyTable;
    if (table === null) throw noLatencyTable();
    const rng = new Random(seed);
    const random = Array.from({ length: samples }, () => this.sample(rng));
    const subnets = [this.smallestConfig, this.fullConfig, ...random].map((config) => ({
      config,
      widths: this.#codec.toWidths(config).slice(),
      predicted: this.cost(config, "latency"),
    }));
    return compareLatencies(this.native, table, subnets, options);
  }

  /**
   * Computes the selected subnet's own batch-norm statistics: the mean, over the batches, of each batch's mean and
   * variance. They hold until another subnet is selected, and are exported with it. The weights stay as they are.
   *
   * @param data batches (an iterable, or a generator function), or a function that runs the model over some
   * @throws `ERR_ARGUMENT`, `ERR_EMPTY_LOADER`, `ERR_ABORTED`, and what running the data throws
   */
  async recalibrate(data: DataSource | ForwardLoop, options: RecalibrateOptions = {}): Promise<void> {
    requireOptions(options, "recalibrate");
    if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches or a forward loop", "data", data);
    throwIfAborted(options.signal);
    this.native.recalibrate(true);
    try {
      // A plain function is a forward loop; only a generator function surely makes batches.
      if (typeof data === "function" && !types.isGeneratorFunction(data))
        await orAbandoned((data as unknown as ForwardLoop)(this, options), options.signal);
      else await runForwardLoop(this, data as DataSource, options);
    } finally {
      if (!this.closed) this.native.recalibrate(false);
    }
    throwIfAborted(options.signal);
  }

  /**
   * Gives the selected subnet weights of its own, which make up for the channels that it lacks: in each layer that reads
   * fewer channels than in the full model, the least squares fit of the full layer's outputs by what is left of its
   * inputs (He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, section 3.1), and of the
   * bias where it has one. Needs no targets, a few hundred samples, and no gradients. The weights hold until another
   * subnet is selected, and are exported with it. Batch-norm statistics that were recalibrated are dropped: call
   * {@link recalibrate} after it.
   *
   * Reconstructed are linear layers, products with a matrix and convolutions of one group whose weight nothing else
   * reads; not those whose zeros N:M the module's history vouches for.
   *
   * @param data batches that can be walked more than once; a few hundred samples of training data are enough
   * @returns the layers, with the share of their outputs that was missed before and is missed now, in squares
   * @throws `ERR_ARGUMENT`, `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_EMPTY_LOADER`, `ERR_ACTIVATION_NAN`,
   *   `ERR_BUSY` where the space is searched or another subnet is selected meanwhile, `ERR_CLOSED`, `ERR_ABORTED`
   *
   * @example
   * ```ts
   * space.select(space.smallestConfig);
   * const layers = await space.reconstruct(data, { maxBatches: 8 });
   * await space.recalibrate(data, { maxBatches: 8 });
   * const subnet = await space.export();
   * ```
   */
  async reconstruct(data: DataSource, options: ReconstructOptions = {}): Promise<ReconstructedLayer[]> {
    requireOptions(options, "reconstruct");
    return exclusively(this, async () => {
      const selection = this.#selections;
      const layers = await reconstructLayers(this, this.native, data, options);
      if (selection !== this.#selections) {
        this.#select(this.native.active()); // without weights that may be of either subnet
        throw new TorchSearchError(
          "ERR_BUSY",
          "Another subnet was selected while layers were reconstructed; await reconstruct() before select().",
        );
      }
      this.#reconstructed = layers.length;
      return layers;
    });
  }

  /**
   * From now on searchers reconstruct every candidate before they rate it, as {@link reconstruct} does, so that they
   * choose what is best once it is reconstructed; and the subnet that comes out. The layers' inputs are gathered here,
   * once, and held as long as the space is. Layers beyond `memoryBudget`, the largest ones, stay as they are.
   *
   * @param data as for {@link reconstruct}
   * @returns how many layers stay as they are, because the memory doesn't suffice
   * @throws as {@link reconstruct}
   *
   * @example
   * ```ts
   * await space.rateReconstructed(data, { maxBatches: 8 });
   * ```
   */
  async rateReconstructed(data: DataSource, options: ReconstructOptions = {}): Promise<number> {
    requireOptions(options, "rateReconstructed");
    return exclusively(this, async () => {
      const before = this.active;
      // Blocks are there, and tensors are the model's own: then every layer that widths narrow is gathered.
      const others = this.hyperparameters.filter(({ kind }) => kind === "depth" || kind === "custom");
      const whole = byName(others, ({ full }) => full as number);
      try {
        this.select({ ...this.smallestConfig, ...whole });
        this.#kept = await KeptReconstruction.gather(this, this.native, data, options);
      } finally {
        if (!this.closed) this.select(before);
      }
      const { damping = null, maxBatches = null } = options;
      this.#changes.reconstructed = JSON.stringify({ damping, maxBatches });
      return this.#kept.leftOut;
    });
  }

  /** @internal Reconstructs the selected subnet, where {@link rateReconstructed} asks for it. */
  async refit(signal: AbortSignal | null): Promise<void> {
    if (this.#kept === null) return;
    this.#reconstructed = (await this.#kept.apply(signal)).length;
  }

  /**
   * The selected subnet as a module of its own, with really smaller weights (and its reconstructed ones and recalibrated
   * statistics). It can
   * be saved, opened by Python's `torch.jit.load`, and trained. It is in evaluation mode. Its `history` continues the
   * history of the module that was converted. It keeps the module's attributes, and those methods beside `forward`
   * that use nothing of what is narrowed but `forward`; a process warning, `EXPORT_LOSES`, names any that it lacks.
   *
   * @throws `ERR_CLOSED`, `ERR_ABORTED`
   */
  async export(options: ExportOptions = {}): Promise<Module> {
    requireOptions(options, "export");
    const config = this.active;
    const custom = Object.keys(this.#targets).length > 0 && { custom: this.#targets };
    const result = {
      config,
      costs: this.costs(config),
      fullCosts: this.costs(this.fullConfig),
      ...custom,
      ...(this.#reconstructed > 0 && { reconstructedLayers: this.#reconstructed }),
    };
    const subnet = await this.exported((call) => this.native.exportSubnet(call), result, options);
    warnOfLostMethods(this.native, subnet.native);
    return subnet.training ? subnet.eval() : subnet;
  }

  /**
   * Writes how the selected subnet comes of the model, for `python/torchsearch_recipe.py`, which does the same to the
   * `nn.Module` that the model's file was made of: the indices that each parameter's dimensions keep, the numbers that
   * follow, the blocks that are left out, and what the subnet gives for some inputs, so that the result is checked
   * (docs/recipes.md). Written atomically.
   *
   * @throws `ERR_RECIPE` where {@link addHyperparameter} put a number in place of one of the graph's; `ERR_FILE_WRITE`,
   *   `ERR_CLOSED`, `ERR_ABORTED`
   */
  async saveRecipe(file: string, options: CallOptions = {}): Promise<void> {
    requireOptions(options, "saveRecipe");
    requirePath(file, "SearchSpace.saveRecipe");
    const config = this.active;
    const recipe = await callNative((call) => this.native.recipe(call), options.signal);
    await writeRecipe(file, recipe, config);
  }

  /**
   * How much each channel matters, in units of the loss, so that layers compare: the first-order change of a batch's
   * loss without it (Molchanov et al., CVPR 2019), by gradients of the full model over batches, averaged over them.
   *
   * @returns a list by hyperparameter, in the order in which channels are kept; empty for one that is not a width
   * @throws `ERR_CONFIG_VALUE`, `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT`, `ERR_GRADIENT`,
   *   `ERR_IMPORTANCE_NAN`, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async channelScores(config: ChannelScoreConfig): Promise<Record<string, number[]>> {
    requireOptions(config, "channelScores");
    const scores = this.#codec.summed(await measureChannels(this, this.native, config));
    return byName(this.hyperparameters, (_, at) => scores[at] ?? []);
  }

  /**
   * How much each channel matters by a measure of importance, relative to the others of its hyperparameter, with what
   * the channels run through: for rankings over layers (Fang et al., "Isomorphic Pruning for Vision Models", ECCV 2024).
   *
   * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT`,
   *   `ERR_GRADIENT`, `ERR_IMPORTANCE_NAN`, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async rankChannels(config: RankConfig): Promise<Record<string, ChannelRank>> {
    requireOptions(config, "rankChannels");
    const scores = this.#codec.summed(await scoreChannels(this, this.native, config));
    const structures = this.#codec.joined(this.native.structures());
    return byName(this.hyperparameters, (_, at) => {
      const own = scores[at] ?? [];
      const mean = own.reduce((sum, score) => sum + score, 0) / own.length;
      return { structure: structures[at] ?? "", scores: mean > 0 ? own.map((score) => score / mean) : own };
    });
  }
}
