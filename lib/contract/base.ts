import { TorchSearchError } from "../errors";
import { scoreOf, wrapFailure } from "../evaluation/failures";
import { runForwardLoop } from "../evaluation/forward-loop";
import { exclusively, isModel, restoring } from "../evaluation/model-guard";
import type { ForwardLoop, PostProcessFunction, RunContext, SearchModel } from "../evaluation/types";
import { throwIfAborted } from "../util/abort";
import { describe, expected, isFunction } from "../util/check";
import type { ProgressEvent } from "../util/progress";
import { Random } from "../util/random";
import type { ConfigRule } from "../util/rules";
import { readCheckpoint, requireFitting, requireWritableCheckpoint, writeCheckpoint } from "./checkpoint";
import { baseConfigDefaults, requireOneDataPath, type SearchConfig, sanitizeConfig } from "./config";
import {
  type Costs,
  type ParsedConstraints,
  parseConstraints,
  type ResolvedConstraints,
  resolveParsed,
} from "./constraints";
import { enforceFinalMembers } from "./final-members";
import { isMaster } from "./rank";
import { copyState } from "./state-values";
import type { Constraints, Deployment, SearchResult, SearchStateDict } from "./types";

/** Options of {@link BaseSearcher.constructForwardLoop}. */
export interface ConstructForwardLoopOptions {
  /** Draw nothing on the terminal. Events are sent all the same. Default true. */
  silent?: boolean;
  /** Text beside a progress bar on standard error; null (the default) draws no bar. */
  progressBarMsg?: string | null;
  /** At most so many batches; null (the default) takes the config's `maxIterDataLoader`. */
  maxIterDataLoader?: number | null;
  /** Called with each batch's output and the batch; false (the default) for none. */
  postProcessFn?: PostProcessFunction | false;
}

/**
 * The workflow of a search: set up, resume, prepare, run, clean up. An algorithm is a subclass that says what its
 * state is (`defaultStateDict`) and what it does (`runSearch`).
 *
 * The constructor, `search` and `stateDict` are final; a subclass that overrides one of them is refused with
 * `ERR_FINAL_MEMBER` as soon as it is constructed.
 *
 * @typeParam State what the search keeps; a record with the keys of `defaultStateDict`
 * @typeParam Config {@link SearchConfig} and the searcher's own keys
 * @typeParam Model what it searches, for example a `SearchSpace`
 * @typeParam Subnet what `search` gives back
 */
export abstract class BaseSearcher<
  State extends object = SearchStateDict,
  Config extends SearchConfig = SearchConfig,
  Model extends SearchModel = SearchModel,
  Subnet = Model,
> {
  #model: Model | null = null;
  #config: Config | null = null;
  #state: State | null = null;
  #searching = false;
  #fingerprint: Promise<string> | null = null;
  #saving: Promise<void> = Promise.resolve();
  #parsed: ParsedConstraints = { upper: {}, lower: {} };

  /** The constraints as they were given to `search`; {@link resolveConstraints} makes numbers of them. */
  constraints: Constraints = {};
  /** Where the subnet will run; from the config. */
  deployment: Deployment | null = null;
  /** Arguments of the model's `forward`, by the convention of `torch.onnx.export`'s `args`; null when none were given. */
  dummyInput: unknown = null;
  /** Runs a model over the config's data; null when the config has neither `dataLoader` nor `forwardLoop`. */
  forwardLoop: ForwardLoop | null = null;
  /** The searcher's random numbers: seeded by the config, saved in and restored from checkpoints. */
  random: Random = new Random();
  /**
   * Whatever JSON can say that is to be kept in the checkpoint's `settings`, such as the command that started the
   * search. The search itself neither reads nor changes it.
   */
  annotations: Record<string, unknown> = {};

  /** Final: a subclass may have a constructor without parameters, none with. */
  constructor(...surplus: never[]) {
    enforceFinalMembers(this, BaseSearcher, ["search", "stateDict"], surplus.length);
  }

  /**
   * The model being searched.
   * @throws `ERR_NO_MODEL` before the first search
   */
  get model(): Model {
    if (this.#model === null) {
      throw new TorchSearchError("ERR_NO_MODEL", "The searcher has no model yet; call search() first.");
    }
    return this.#model;
  }

  set model(model: Model) {
    this.#model = model;
    this.#fingerprint = null;
  }

  /** The config of the search, complete and checked. Before the first search it is the default one. */
  get config(): Config {
    this.#config ??= this.sanitizeSearchConfig(null);
    return this.#config;
  }

  set config(config: Config) {
    this.#config = config;
  }

  /** What the search keeps; reset by {@link resetSearch}, restored from a checkpoint, given out by {@link stateDict}. */
  protected get state(): State {
    this.#state ??= copyState(this.defaultStateDict);
    return this.#state;
  }

  protected set state(state: State) {
    this.#state = state;
  }

  /** All config keys with their defaults. A subclass adds its own: `{ ...super.defaultSearchConfig, population: 100 }`. */
  get defaultSearchConfig(): Config {
    return baseConfigDefaults() as Config;
  }

  /** The state at the beginning of a search. `state` starts as a deep copy of it, and has exactly its keys. */
  abstract get defaultStateDict(): State;

  /** Rules for a subclass's own config keys; a key without a rule must have its default's type. */
  protected get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {};
  }

  /** What a subclass wants to have in a checkpoint's `settings`, for reports, beside constraints and config. */
  protected get checkpointSettings(): Readonly<Record<string, unknown>> {
    return {};
  }

  /** Metrics that constraints may name beyond the usual ones. */
  protected get knownConstraints(): readonly string[] {
    return [];
  }

  /** Whether a constraint may be a pair `[lower, upper]`; a searcher that meets lower bounds returns true. */
  protected get takesLowerBounds(): boolean {
    return false;
  }

  /** The names that the constraints bound, such as `flops` or `latency.p95`. */
  protected get constrained(): readonly string[] {
    return [...new Set([...Object.keys(this.#parsed.upper), ...Object.keys(this.#parsed.lower)])];
  }

  /**
   * The constraints as numbers, in each metric's unit.
   *
   * @param fullCosts the full model's costs, which percentages refer to
   * @throws `ERR_UNKNOWN_CONSTRAINT` when a constraint names none of these costs, `ERR_CONSTRAINT_VALUE`
   */
  protected resolveConstraints(fullCosts: Costs): ResolvedConstraints {
    return resolveParsed(this.#parsed, fullCosts);
  }

  /**
   * Completes and checks a config.
   * @throws `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE`
   */
  sanitizeSearchConfig(config?: Partial<Config> | null): Config {
    return sanitizeConfig(config, this.defaultSearchConfig, this.searchConfigRules);
  }

  /**
   * Searches the model for the subnet with the highest score among those that meet the constraints. Final.
   *
   * In order: remember training mode; {@link resetSearch}; set model, config, deployment, constraints, dummy input and
   * forward loop; {@link loadSearchCheckpoint}; {@link beforeSearch}; {@link runSearch}; {@link afterSearch}. The
   * model's training mode is restored whatever happens; after a failure or an abort, so is what else the search
   * changed (see `SearchModel.captureState`).
   *
   * @param model the model to search
   * @param constraints upper bounds by metric: a number, `"60%"` of the full model, a nested record, or null for none
   * @param dummyInput arguments of `model.forward`: one value, an array of them, or an array whose last item is a
   *   plain record of keyword arguments
   * @param config see {@link SearchConfig}
   * @throws `ERR_BUSY` when this searcher or this model is already in a search; `ERR_ABORTED`; errors of config,
   *   constraints and checkpoint; whatever the searcher throws
   */
  async search(
    model: Model,
    constraints: Constraints,
    dummyInput: unknown = null,
    config: Partial<Config> | null = null,
  ): Promise<SearchResult<SearchStateDict & State, Subnet>> {
    if (!isModel(model)) throw expected("ERR_ARGUMENT", "a Module or SearchSpace", "model", model);
    if (this.#searching) {
      throw new TorchSearchError(
        "ERR_BUSY",
        "This searcher is searching already; await that search, or make another searcher.",
      );
    }
    this.#searching = true;
    try {
      return await exclusively(model, () =>
        restoring(model, async () => {
          await this.#prepare(model, constraints, dummyInput, config);
          await this.beforeSearch();
          throwIfAborted(this.config.signal);
          await this.runSearch();
          await this.afterSearch();
          return { subnet: await this.buildSubnet(), stateDict: this.stateDict() };
        }),
      );
    } finally {
      await this.#saving;
      this.#searching = false;
    }
  }

  async #prepare(
    model: Model,
    constraints: Constraints,
    dummyInput: unknown,
    config: Partial<Config> | null,
  ): Promise<void> {
    await this.resetSearch();
    this.model = model;
    this.config = this.sanitizeSearchConfig(config);
    this.deployment = this.config.deployment;
    this.#parsed = parseConstraints(constraints, {
      known: this.knownConstraints,
      lowerBounds: this.takesLowerBounds,
    });
    this.constraints = constraints;
    this.dummyInput = dummyInput;
    this.random = new Random(this.config.seed);
    this.forwardLoop = this.constructForwardLoop({ silent: !this.config.verbose });
    throwIfAborted(this.config.signal);
    if (this.config.checkpoint !== null && isMaster())
      await requireWritableCheckpoint(this.config.checkpoint);
    await this.loadSearchCheckpoint();
    throwIfAborted(this.config.signal);
  }

  /** Puts the state back to a deep copy of {@link defaultStateDict}. */
  resetSearch(): void | Promise<void> {
    this.state = copyState(this.defaultStateDict);
  }

  /** Steps before the search: checks, `model.eval()`, measurements. Nothing by default. */
  beforeSearch(): void | Promise<void> {}

  /** The search itself. Long ones call {@link saveSearchCheckpoint} now and then, and look at `config.signal`. */
  abstract runSearch(): void | Promise<void>;

  /** Steps after the search. Nothing by default. */
  afterSearch(): void | Promise<void> {}

  /** Makes `search`'s `subnet` once the search is done: the searched model itself unless a subclass exports one. */
  protected buildSubnet(): Subnet | Promise<Subnet> {
    return this.model as unknown as Subnet;
  }

  /** Whether the config has a score function. */
  get hasScore(): boolean {
    return this.config.scoreFunc !== null;
  }

  /**
   * Rates the model as it is now; the higher, the better.
   *
   * @param silent draw nothing on the terminal (progress events are sent all the same)
   * @throws `ERR_NO_SCORE` without a `scoreFunc`; `ERR_SCORE_NAN` when it gives anything but a finite number;
   *   `ERR_SCORE_FAILED` with a cause when it throws (a `TorchSearchError` comes through as it is)
   */
  async evalScore(silent = true): Promise<number> {
    return this.#evalScore(this.#context(silent));
  }

  /**
   * As {@link evalScore}, but the score function may stop as soon as the score can't reach `below` any more, certainly or
   * except with a probability of `errorProbability` (see `StopRule`). Built-in scores over built-in loaders do so.
   *
   * @returns the score; or, where it was stopped, an upper bound of it and how many samples had been seen
   * @throws as {@link evalScore}; `ERR_EARLY_STOPPING` where an error probability can't be kept
   */
  async evalScoreUnless(
    below: number,
    errorProbability = 0,
  ): Promise<{ score: number } | { atMost: number; samples: number }> {
    let stoppedAt: number | null = null;
    const onStop = (samples: number): void => {
      stoppedAt = samples;
    };
    const value = await this.#evalScore({
      ...this.#context(true),
      stop: { below, errorProbability, onStop },
    });
    if (stoppedAt === null) return { score: value };
    if (value >= below) {
      throw new TorchSearchError(
        "ERR_EARLY_STOPPING",
        `scoreFunc stopped early, but gave ${value}, which is not below ${below}: give an upper bound that is, or the score.`,
      );
    }
    return { atMost: value, samples: stoppedAt };
  }

  async #evalScore(context: RunContext): Promise<number> {
    const { scoreFunc, signal } = this.config;
    if (scoreFunc === null) {
      throw new TorchSearchError("ERR_NO_SCORE", "This search needs a score; set scoreFunc in its config.");
    }
    throwIfAborted(signal);
    return scoreOf(() => scoreFunc(this.model, context), signal);
  }

  /**
   * Makes a function that runs a model over the config's data: its `dataLoader` through `collectFunc`, or its
   * `forwardLoop`. Null when the config has neither. With a built-in loader, no `collectFunc` and no
   * `postProcessFn`, JavaScript is not called per batch.
   *
   * @throws `ERR_CONFIG_VALUE` when the config has both, or when an option is of the wrong type
   */
  constructForwardLoop(options: ConstructForwardLoopOptions = {}): ForwardLoop | null {
    const { silent = true, progressBarMsg = null, maxIterDataLoader = null, postProcessFn = false } = options;
    const { dataLoader, forwardLoop, collectFunc } = this.config;
    requireOneDataPath(this.config);
    if (postProcessFn !== false && !isFunction(postProcessFn)) {
      throw expected("ERR_CONFIG_VALUE", "a function or false", "postProcessFn", postProcessFn);
    }
    const maxBatches = maxIterDataLoader ?? this.config.maxIterDataLoader;
    if (maxBatches !== null && !(Number.isSafeInteger(maxBatches) && maxBatches >= 1)) {
      throw expected(
        "ERR_CONFIG_VALUE",
        "a whole number of at least 1 or null",
        "maxIterDataLoader",
        maxBatches,
      );
    }
    if (dataLoader !== null) {
      return async (model, context) => {
        if (!silent) this.log("Running forward loop...");
        await runForwardLoop(model, dataLoader, {
          ...this.#context(silent),
          ...context,
          collectFunc,
          maxBatches,
          progressBarMsg,
          postProcess: postProcessFn,
        });
      };
    }
    if (forwardLoop !== null) {
      return async (model, context) => {
        if (!silent) this.log("Running forward loop...");
        const full = { ...this.#context(silent), ...context };
        throwIfAborted(full.signal);
        try {
          await forwardLoop(model, full);
        } catch (error) {
          throw wrapFailure(error, full.signal, "ERR_FORWARD_LOOP_FAILED", "forwardLoop");
        }
        throwIfAborted(full.signal);
      };
    }
    return null;
  }

  /**
   * Restores state and random numbers from the config's checkpoint, if it names one that exists.
   *
   * @returns whether a checkpoint was loaded
   * @throws `ERR_CHECKPOINT_KEYS`, `ERR_CHECKPOINT_MODEL`, `ERR_CHECKPOINT_VERSION`, `ERR_CHECKPOINT_CORRUPT`,
   *   `ERR_CHECKPOINT_READ`
   */
  async loadSearchCheckpoint(): Promise<boolean> {
    const file = this.config.checkpoint;
    if (file === null) return false;
    const checkpoint = await readCheckpoint(file);
    if (checkpoint === null) {
      this.log(`Checkpoint ${file} does not exist yet; starting from scratch.`);
      return false;
    }
    requireFitting(file, checkpoint, await this.#modelFingerprint(), Object.keys(this.defaultStateDict));
    this.random = Random.fromState(checkpoint.random);
    this.state = checkpoint.state as State;
    this.log(`Resuming from checkpoint ${file}.`);
    return true;
  }

  /**
   * Saves state and random numbers to the config's checkpoint, atomically; does nothing when it names none, or on a
   * rank other than 0.
   *
   * @throws `ERR_CHECKPOINT_WRITE`, `ERR_STATE_VALUE`
   */
  async saveSearchCheckpoint(): Promise<void> {
    const file = this.config.checkpoint;
    if (file === null || !isMaster()) return;
    // One after the other, so that an older state never replaces a newer one.
    const saved = this.#saving.then(async () => {
      const fingerprint = await this.#modelFingerprint();
      await writeCheckpoint(file, {
        state: this.stateDict() as SearchStateDict,
        fingerprint,
        random: this.random.state,
        searcher: this.constructor.name,
        settings: {
          constraints: this.constraints,
          config: plainSettings(this.config),
          ...this.checkpointSettings,
          annotations: this.annotations,
        },
      });
    });
    this.#saving = saved.catch(() => {});
    await saved;
  }

  /** The state as it can be stored: exactly the keys of {@link defaultStateDict}. Final. Values are not copied. */
  stateDict(): SearchStateDict & State {
    const state = this.state as SearchStateDict;
    return Object.fromEntries(
      Object.keys(this.defaultStateDict).map((key) => [key, state[key]]),
    ) as SearchStateDict & State;
  }

  /** Sends a progress event to the config's `onProgress`. */
  protected report(event: ProgressEvent): void {
    this.config.onProgress?.(event);
  }

  /** Says a line on standard error when the config is verbose. */
  protected log(message: string): void {
    if (this.config.verbose) process.stderr.write(`${message}\n`);
  }

  #context(silent: boolean): RunContext & { signal: AbortSignal | null } {
    return { signal: this.config.signal, onProgress: this.config.onProgress, silent };
  }

  /** Computed once a search, since it reads all weights. */
  #modelFingerprint(): Promise<string> {
    // A search that was aborted still saves its checkpoint.
    const signal = this.config.signal?.aborted ? null : this.config.signal;
    this.#fingerprint ??= this.model.fingerprint({ signal });
    return this.#fingerprint;
  }
}

/** Config values that JSON can say; functions and loaders are named by their type. */
function plainSettings(config: SearchConfig): Record<string, unknown> {
  const plain = (value: unknown): unknown =>
    value === null || ["number", "string", "boolean"].includes(typeof value) ? value : describe(value);
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, plain(value)]));
}
