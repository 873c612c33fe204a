import { ALONE, type WorkShare } from "../distributed/work-share";
import { TorchSearchError } from "../errors";
import { exclusively, isModel, restoring, SEARCHER_BUSY } from "../evaluation/model-guard";
import { type BoundedScore, scoreModel, scoreUnless } from "../evaluation/score-model";
import type { ForwardLoop, RunContext, SearchModel } from "../evaluation/types";
import { throwIfAborted } from "../util/abort";
import { expected, requireOptions } from "../util/check";
import type { ProgressEvent } from "../util/progress";
import { Random } from "../util/random";
import { printable } from "../util/terminal";
import { requireImplemented } from "./abstract-members";
import { baseConfigDefaults, type SearchConfig } from "./config";
import {
  type Costs,
  type ParsedConstraints,
  parseConstraints,
  type ResolvedConstraints,
  resolveParsed,
} from "./constraints";
import { type ConstructForwardLoopOptions, constructForwardLoop } from "./construct-forward-loop";
import { enforceFinalMembers } from "./final-members";
import { plainSettings, SearchCheckpoint } from "./search-checkpoint";
import { beginSharing } from "./search-share";
import { SearcherHooks } from "./searcher-hooks";
import { copyState } from "./state-values";
import type { Constraints, ConstraintsOf, Deployment, SearchResult, SearchStateDict } from "./types";
import { UserSteps } from "./user-steps";

/**
 * The workflow of a search: set up, resume, prepare, run, clean up. An algorithm is a subclass that defines its state
 * (`defaultStateDict`) and its steps (`runSearch`).
 *
 * The constructor, `search` and `stateDict` are final: a subclass that overrides one of them is refused with
 * `ERR_FINAL_MEMBER` when it is constructed. One that lacks an abstract member is refused with `ERR_ABSTRACT_CLASS`.
 *
 * @typeParam State the search's state; a record with the keys of `defaultStateDict`
 * @typeParam Config {@link SearchConfig}, perhaps without some of its keys, and the searcher's own keys
 * @typeParam Model the kind of model that is searched, for example a `SearchSpace`
 * @typeParam Subnet the kind of model that `search` returns
 *
 * @example
 * ```ts
 * class OneLook extends BaseSearcher<{ best: { score: number } | null }> {
 *   get defaultStateDict() {
 *     return { best: null };
 *   }
 *   async runSearch() {
 *     this.state.best = { score: await this.evalScore() };
 *   }
 * }
 * const { stateDict } = await new OneLook().search(module, {}, dummyInput, { scoreFunc });
 * console.log(stateDict.best?.score);
 * ```
 */
export abstract class BaseSearcher<
  State extends object = SearchStateDict,
  Config extends Partial<SearchConfig> = SearchConfig,
  Model extends SearchModel = SearchModel,
  Subnet = Model,
> extends SearcherHooks<State, Config> {
  /** Members that a subclass must implement, and how each is written; for the message of `ERR_ABSTRACT_CLASS`. */
  protected static readonly abstractMembers: Readonly<Record<string, string>> = {
    defaultStateDict: "a getter defaultStateDict",
    runSearch: "a method runSearch()",
  };

  #model: Model | null = null;
  #config: Config | null = null;
  #state: State | null = null;
  #parsed: ParsedConstraints = { upper: {}, lower: {} };
  readonly #checkpoint = new SearchCheckpoint();
  #share: WorkShare = ALONE;
  readonly #steps = new UserSteps(() => this.#baseConfig.signal);

  /** The constraints as they were given to `search`; {@link resolveConstraints} makes numbers of them. */
  constraints: Constraints<string> = {};
  /** Where the subnet will run; from the config. */
  deployment: Deployment | null = null;
  /**
   * Arguments of the model's `forward`, by the convention of `torch.onnx.export`'s `args`; null when none were given.
   * For searchers that export or profile the model; the built-in ones take costs from their space, and don't read it.
   */
  dummyInput: unknown = null;
  /** Runs a model over the config's data; null when the config has neither `dataLoader` nor `forwardLoop`. */
  forwardLoop: ForwardLoop | null = null;
  /** The searcher's random numbers: seeded by the config, saved in and restored from checkpoints. */
  random: Random = new Random();
  /**
   * Values that the checkpoint keeps in its `settings`, such as the command that started the search. JSON must be able
   * to hold them. The search itself neither reads nor changes them.
   */
  annotations: Record<string, unknown> = {};

  /** Final: a subclass may have a constructor without parameters only. */
  constructor(...surplus: never[]) {
    super();
    requireImplemented(this);
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
    this.#checkpoint.reset();
  }

  /** The config of the search, complete and checked. Before the first search it is the default one. */
  get config(): Config {
    this.#config ??= this.sanitizeSearchConfig(null);
    return this.#config;
  }

  set config(config: Config) {
    this.#config = config;
  }

  /** The search's state: reset by {@link resetSearch}, restored from a checkpoint, returned by {@link stateDict}. */
  protected get state(): State {
    this.#state ??= copyState(this.defaultStateDict);
    return this.#state;
  }

  protected set state(state: State) {
    this.#state = state;
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

  /** The base class's keys of the config, with defaults for those that the subclass leaves out. */
  get #baseConfig(): SearchConfig {
    return { ...baseConfigDefaults(), ...this.config };
  }

  /**
   * Searches the model for the subnet with the highest score among those that meet the constraints. Final.
   *
   * In order: remember training mode; {@link resetSearch}; set model, config, deployment, constraints, dummy input and
   * forward loop; {@link loadSearchCheckpoint}; {@link beforeSearch}; {@link runSearch}; {@link afterSearch}. The
   * model's training mode is always restored. After a failure or an abort, everything else that the search changed is
   * restored as well (see `SearchModel.captureState`).
   *
   * @param model the model to search
   * @param constraints bounds by metric: a number, `"60%"` of the full model, a nested record, or null for none; a pair
   *   `[lower, upper]` where the searcher takes lower bounds
   * @param dummyInput arguments of `model.forward`: one value, an array of them, or an array whose last item is a
   *   plain record of keyword arguments
   * @param config see {@link SearchConfig}
   * @throws `ERR_BUSY` when this searcher or this model is already in a search; `ERR_ABORTED`; errors of config,
   *   constraints and checkpoint; any error of the searcher
   */
  async search<Searched extends Model>(
    model: Searched,
    constraints: ConstraintsOf<Searched>,
    dummyInput: unknown = null,
    config: Partial<Config> | null = null,
  ): Promise<SearchResult<SearchStateDict & State, Subnet>> {
    if (!isModel(model)) throw expected("ERR_ARGUMENT", "a Module or SearchSpace", "model", model);
    this.#steps.requireEnded();
    const steps = async (): Promise<SearchResult<SearchStateDict & State, Subnet>> => {
      let ended: "well" | "early" = "early";
      let failure: unknown = null;
      try {
        await this.#prepare(model, constraints as Constraints<string>, dummyInput, config);
        await this.#steps.run(() => this.beforeSearch());
        await this.#steps.run(() => this.runSearch());
        await this.#steps.run(() => this.afterSearch());
        const result = { subnet: await this.buildSubnet(), stateDict: this.stateDict() };
        ended = "well";
        return result;
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        await this.#share.end(failure);
        this.#share = ALONE;
        await this.#checkpoint.end(ended);
      }
    };
    return exclusively(this, () => exclusively(model, () => restoring(model, steps)), SEARCHER_BUSY);
  }

  async #prepare(
    model: Model,
    constraints: Constraints<string>,
    dummyInput: unknown,
    config: Partial<Config> | null,
  ): Promise<void> {
    await this.resetSearch();
    this.model = model;
    this.config = this.sanitizeSearchConfig(config);
    const { deployment, seed, verbose, signal, checkpoint, group } = this.#baseConfig;
    this.deployment = deployment;
    this.#parsed = parseConstraints(constraints, {
      known: this.knownConstraints,
      lowerBounds: this.takesLowerBounds,
      searcher: this.constructor.name,
    });
    this.constraints = constraints;
    this.dummyInput = dummyInput;
    this.random = new Random(seed);
    this.forwardLoop = this.constructForwardLoop({ silent: !verbose });
    throwIfAborted(signal);
    const searcher = this.constructor.name;
    const { sharesWork } = this;
    this.#share = await beginSharing(group, {
      searcher,
      sharesWork,
      model,
      constraints,
      config: this.config,
      signal,
    });
    await this.#checkpoint.begin(checkpoint);
    await this.loadSearchCheckpoint();
    throwIfAborted(signal);
  }

  /** Spreads what is measured among the processes of the config's `group`; without one, it is all done here. */
  protected get share(): WorkShare {
    return this.#share;
  }

  /** Puts the state back to a deep copy of {@link defaultStateDict}. */
  resetSearch(): void | Promise<void> {
    this.state = copyState(this.defaultStateDict);
  }

  /** Makes the `subnet` that `search` returns: the searched model itself, unless a subclass exports one. */
  protected buildSubnet(): Subnet | Promise<Subnet> {
    return this.model as unknown as Subnet;
  }

  /** Whether the config has a score function. */
  get hasScore(): boolean {
    return this.#baseConfig.scoreFunc !== null;
  }

  /**
   * Rates the model as it is now; the higher, the better.
   *
   * @param silent draw nothing on the terminal (progress events are sent all the same)
   * @throws `ERR_NO_SCORE` without a `scoreFunc`; `ERR_SCORE_NAN` when it returns anything but a finite number;
   *   `ERR_SCORE_FAILED` with a cause when it throws (a `TorchSearchError` is thrown on as it is)
   */
  async evalScore(silent = true): Promise<number> {
    return scoreModel(this.model, this.#baseConfig.scoreFunc, this.#context(silent));
  }

  /**
   * As {@link evalScore}, but the score function may stop as soon as the score can't reach `below` any more, certainly
   * or except with a probability of `errorProbability` (see `StopRule`). Built-in scores over built-in loaders do so.
   *
   * @throws as {@link evalScore}; `ERR_EARLY_STOPPING` where an error probability can't be kept
   */
  async evalScoreUnless(below: number, errorProbability = 0): Promise<BoundedScore> {
    return scoreUnless(below, errorProbability, (stop) =>
      scoreModel(this.model, this.#baseConfig.scoreFunc, { ...this.#context(true), stop }),
    );
  }

  /**
   * Makes a function that runs a model over the config's data: its `dataLoader` through `collectFunc`, or its
   * `forwardLoop`. Null when the config has neither. With a built-in loader, no `collectFunc` and no
   * `postProcessFn`, JavaScript is not called per batch.
   *
   * @throws `ERR_CONFIG_VALUE` when the config has both, or when an option is of the wrong type
   */
  constructForwardLoop(options: ConstructForwardLoopOptions = {}): ForwardLoop | null {
    requireOptions(options, "constructForwardLoop");
    const silent = options.silent ?? true;
    return constructForwardLoop(this.#baseConfig, options, {
      context: this.#context(silent),
      onStart: () => {
        if (!silent) this.log("Running forward loop...");
      },
    });
  }

  /**
   * Restores state and random numbers from the config's checkpoint, if it names one that exists.
   *
   * @param options `strict: false` accepts a checkpoint with other state keys: missing ones get their defaults, and
   *   surplus ones are dropped
   * @returns whether a checkpoint was loaded
   * @throws `ERR_CHECKPOINT_KEYS`, `ERR_CHECKPOINT_MODEL`, `ERR_CHECKPOINT_VERSION`, `ERR_CHECKPOINT_CORRUPT`,
   *   `ERR_CHECKPOINT_READ`
   */
  async loadSearchCheckpoint(options: { strict?: boolean } = {}): Promise<boolean> {
    requireOptions(options, "loadSearchCheckpoint");
    const { checkpoint, signal } = this.#baseConfig;
    const found = await this.#checkpoint.load(checkpoint, {
      model: () => this.model,
      initial: copyState(this.defaultStateDict) as SearchStateDict,
      strict: options.strict ?? true,
      signal,
      log: (message) => this.log(message),
      share: this.#share,
    });
    if (found === null) return false;
    this.random = Random.fromState(found.random);
    this.state = found.state as State;
    return true;
  }

  /**
   * Saves state and random numbers to the config's checkpoint, atomically. Does nothing when the config names none, or
   * when it names a file and this process is not rank 0.
   *
   * @param options `verbose: true` prints the file's name on standard error, whatever the config's `verbose` says
   * @throws `ERR_CHECKPOINT_WRITE`, `ERR_STATE_VALUE`
   */
  async saveSearchCheckpoint(options: { verbose?: boolean } = {}): Promise<void> {
    requireOptions(options, "saveSearchCheckpoint");
    this.#steps.requireEnded();
    const { checkpoint, signal } = this.#baseConfig;
    // The same file, however many processes search.
    const { group: _, ...settings } = plainSettings(this.config);
    await this.#checkpoint.save(checkpoint, {
      model: () => this.model,
      verbose: options.verbose ?? false,
      signal,
      content: () => ({
        state: this.stateDict(),
        random: this.random.state,
        searcher: this.constructor.name,
        settings: {
          constraints: this.constraints,
          config: settings,
          ...this.checkpointSettings,
          annotations: this.annotations,
        },
      }),
    });
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
    this.#baseConfig.onProgress?.(event);
  }

  /** Prints a line on standard error when the config is verbose. */
  protected log(message: string): void {
    if (this.#baseConfig.verbose) process.stderr.write(`${printable(message)}\n`);
  }

  #context(silent: boolean): RunContext {
    const { signal, onProgress } = this.#baseConfig;
    return { signal, onProgress, silent };
  }
}
