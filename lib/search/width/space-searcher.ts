import { BaseSearcher } from "../../contract/base";
import { requireBaseConfig, type SearchConfig } from "../../contract/config";
import { type Bounds, type Costs, requireReachable, satisfies } from "../../contract/constraints";
import { TorchSearchError } from "../../errors";
import type { ForwardLoop } from "../../evaluation/types";
import { type SearchRecord, searchRecordOf } from "../../model/history";
import type { Module } from "../../model/module";
import { prepareLatency } from "../../space/latency-constraint";
import { completedConfig, isComplete } from "../../space/proposals";
import { requireSpace } from "../../space/require-space";
import { boundedCosts } from "../../space/sampling";
import { SearchSpace } from "../../space/search-space";
import type { IterativeSearchState, ScoreStop } from "../../space/trials";
import type { ScoredSubnet, SpaceCosts, SpaceSearchState, SubnetConfig } from "../../space/types";
import { throwIfAborted } from "../../util/abort";
import { isRecord } from "../../util/check";
import type { ProgressEvent } from "../../util/progress";
import { Random } from "../../util/random";
import { sameNumbers } from "../../util/same-numbers";
import { type Cut, cutOf, scoreInParts } from "./scores-in-parts";
import type { MeasureAllOptions, SearchTools } from "./search-tools";

export type { MeasureAllOptions, SearchTools } from "./search-tools";

/** The `details` of the progress events that searchers of a space send, beside what each adds. */
export interface SpaceProgress {
  /** The best score so far among the subnets that meet the constraints; null before there is one. */
  best: number | null;
  /** What that subnet costs. */
  bestCosts: SpaceCosts | null;
  /** The constraints as upper bounds, in each metric's unit. */
  bounds: Bounds;
}

/**
 * The base of all searchers of a `SearchSpace`: constraints are checked before anything is scored; candidates are
 * selected, recalibrated and scored in one way; the best one is exported.
 *
 * A constraint on `latency` (milliseconds, or a percentage of the full model's) uses a latency table: that of the
 * config's `deployment`, else the one the space uses, else one that is measured at the start.
 *
 * Before a candidate is scored, its batch norms are recalibrated on the config's `dataLoader` or `forwardLoop`, when
 * there is one; so are those of the subnet that comes out. The full model keeps the statistics it came with.
 *
 * @example
 * ```ts
 * class Smallest extends SpaceSearcher {
 *   get defaultStateDict() {
 *     return { fullCosts: null, bounds: null, best: null };
 *   }
 *   protected override forgetBounds() {
 *     this.state.best = null;
 *   }
 *   async runSearch() {
 *     this.state.best = await this.measure(this.model.smallestConfig);
 *   }
 * }
 * const { subnet } = await new Smallest().search(space, { flops: "60%" }, dummyInput, { scoreFunc });
 * ```
 */
export abstract class SpaceSearcher<
  State extends SpaceSearchState = SpaceSearchState,
  Config extends SearchConfig = SearchConfig,
> extends BaseSearcher<State, Config, SearchSpace, Module> {
  /** Runs the calibration data, or null when the config has none. */
  #calibration: ForwardLoop | null = null;
  /** Whether this process is measuring something for all. */
  #sharing = false;

  /** Keys of the state that hold under any constraints, such as measurements; {@link restart} keeps them. */
  protected get lasting(): readonly (keyof State & string)[] {
    return [];
  }

  /** Begins anew: resets the random numbers and the state, except for {@link lasting} keys, costs and bounds. */
  protected restart(): void {
    const { state } = this;
    const kept = ["fullCosts", "bounds", ...this.lasting] as (keyof State)[];
    const values = Object.fromEntries(kept.map((key) => [key, state[key]]));
    Object.assign(state, this.defaultStateDict, values);
    this.random = new Random(this.config.seed);
  }

  /** Drops from the state what belongs to other constraints than those of this search: by default, {@link restart}. */
  protected forgetBounds(): void {
    this.restart();
  }

  /**
   * The space, so that a checkpoint alone shows what was narrowed, and the record that an export's history will have.
   */
  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    const { mode, device, hyperparameters } = this.model;
    return {
      search: this.searchRecord,
      space: {
        mode,
        device,
        hyperparameters: hyperparameters.map(({ name, kind, full, choices }) => ({
          name,
          kind,
          full,
          choices,
        })),
      },
    };
  }

  /** Constraints may name metrics that the user added to the space. */
  protected override get knownConstraints(): readonly string[] {
    return this.model instanceof SearchSpace ? this.model.metrics : [];
  }

  /** What functions and objects that a searcher is made of may use of it. */
  protected get tools(): SearchTools {
    return {
      space: this.model,
      bounds: this.bounds,
      random: this.random,
      signal: this.config.signal,
      score: (config) => this.score(config),
      scoreRecalibrated: () =>
        this.#shareOne("recalibrated", async () => {
          await this.select(this.model.fullConfig);
          return (await this.recalibrate()) ? this.evalScore() : null;
        }),
      measure: (config, stop = null) => this.measure(config, stop),
      measureAll: (configs, options) => this.measureAll(configs, options),
      once: (make) => this.share.once(make, this.config.signal),
      parallel: this.share.worldSize,
      fits: (config) => this.fits(config),
      save: () => this.saveSearchCheckpoint(),
      report: (event, details) => this.reportSpace(event, details),
      log: (line) => this.log(line),
    };
  }

  /** Sends a progress event with what is common to all searchers of a space; see {@link SpaceProgress}. */
  protected reportSpace(event: Omit<ProgressEvent, "details">, details: Record<string, unknown> = {}): void {
    const { best } = this.state;
    const common: SpaceProgress = {
      best: best?.score ?? null,
      bestCosts: best?.costs ?? null,
      bounds: this.bounds,
    };
    this.report({ ...event, details: { ...details, ...common } });
  }

  /** The constraints as upper bounds, in each metric's unit. */
  protected get bounds(): Bounds {
    return this.state.bounds ?? {};
  }

  /**
   * Checks the model, the constraints and the config; measures operators where a bound on latency needs it.
   *
   * @throws `ERR_ARGUMENT` when the model isn't a search space; `ERR_UNKNOWN_CONSTRAINT`; `ERR_CONSTRAINT_VALUE`;
   *   `ERR_CONSTRAINT_UNREACHABLE` with the smallest reachable value; `ERR_NO_SCORE`; `ERR_LATENCY_TABLE_MISMATCH`,
   *   `ERR_LATENCY_TABLE` and errors of files for a deployment's latency table that can't be used
   */
  override async beforeSearch(): Promise<void> {
    const space = this.model;
    requireSpace(space, SearchSpace, "fastnas");
    requireBaseConfig(this.config, this.constructor.name);
    if (this.constrained.includes("latency")) {
      const { signal, onProgress } = this.config;
      const run = { signal, onProgress, log: (line: string) => this.log(line), share: this.share };
      await prepareLatency(space, this.deployment, run);
    }
    const fullCosts = space.costs(space.fullConfig);
    const { bounds } = this.resolveConstraints(fullCosts);
    requireReachable(bounds, space.costs(space.smallestConfig), fullCosts);
    if (Object.keys(bounds).length === 0)
      this.log(
        "No constraint is given: the search maximizes the score alone, which the full model may have.",
      );
    if (!this.hasScore) {
      throw new TorchSearchError(
        "ERR_NO_SCORE",
        `${this.constructor.name} needs a score; set scoreFunc in its config.`,
      );
    }
    // With another latency table, or another cost of the user's own, a subnet that met a bound may exceed it now.
    const before: Costs = this.state.fullCosts ?? {};
    const repriced = Object.keys(bounds).some((metric) => before[metric] !== fullCosts[metric]);
    if (repriced || !sameNumbers(this.state.bounds, bounds)) this.forgetBounds();
    this.state.fullCosts = fullCosts;
    this.state.bounds = bounds;
    this.#calibration = this.constructForwardLoop();
  }

  /**
   * Leaves the best subnet selected, with its batch norms recalibrated.
   *
   * @throws `ERR_NO_CANDIDATE` when the search has no best subnet, `ERR_PROPOSAL` when its config isn't complete
   */
  override async afterSearch(): Promise<void> {
    const best = this.state.best as ScoredSubnet | null | undefined;
    if (best === null || best === undefined) throw this.#noCandidate();
    if (isRecord(best.config) && !isComplete(this.model, best.config)) {
      throw new TorchSearchError(
        "ERR_PROPOSAL",
        `The best subnet's config names only ${Object.keys(best.config).length} of ${this.model.hyperparameters.length} ` +
          "hyperparameters, so it can't be reproduced; keep what this.measure(config) returns, which is complete.",
      );
    }
    await this.select(best.config);
  }

  #noCandidate(): TorchSearchError {
    const { candidates } = this.state as Partial<IterativeSearchState>;
    const bounds = Object.entries(this.bounds).map(([metric, bound]) => `${metric} <= ${bound}`);
    return new TorchSearchError(
      "ERR_NO_CANDIDATE",
      candidates === undefined || bounds.length === 0
        ? `${this.constructor.name} ended without a best subnet: runSearch() has to set state.best.`
        : `None of the ${candidates.scores.length} measured candidates meets the constraints (${bounds.join(", ")}): propose ` +
            "some that do, with sampleWithin or fitWithin, raise the bounds, or measure more candidates.",
    );
  }

  /** The best subnet as a module of its own. */
  protected override buildSubnet(): Promise<Module> {
    return this.model.export({ signal: this.config.signal, search: this.searchRecord });
  }

  /** What the exported model's history says about this search. */
  protected get searchRecord(): SearchRecord {
    return searchRecordOf(this, this.state.best?.score ?? null);
  }

  /**
   * Selects a candidate and recalibrates it, unless it is the full model. Here and in {@link score}, {@link measure} and
   * {@link fits}, what a config doesn't name is as in the full model.
   *
   * @throws `ERR_PROPOSAL` for anything but a record
   */
  protected async select(partial: Readonly<SubnetConfig>): Promise<void> {
    throwIfAborted(this.config.signal);
    const config = completedConfig(this.model, partial);
    this.model.select(config);
    if (sameNumbers(config, this.model.fullConfig)) return;
    await this.model.refit(this.config.signal);
    await this.recalibrate();
  }

  /** Recalibrates what is selected. Returns false, without doing anything, when the config has no calibration data. */
  protected async recalibrate(): Promise<boolean> {
    if (this.#calibration === null) return false;
    const { signal, onProgress } = this.config;
    await this.model.recalibrate(this.#calibration, { signal, onProgress, silent: true });
    return true;
  }

  /**
   * Selects a candidate, recalibrates it and rates it. In a group, one of the processes does so for all, and only there
   * it stays selected.
   */
  protected score(config: Readonly<SubnetConfig>): Promise<number> {
    const cut = this.#cut(1);
    if (cut !== null) return this.#scoreInParts([config], cut).then(([score]) => score as number);
    return this.#shareOne(this.#keyOf("score", config), async () => {
      await this.select(config);
      return this.evalScore();
    });
  }

  /** How the batches of so many candidates are cut; null where each candidate is measured as a whole. */
  #cut(candidates: number): Cut | null {
    const { dataShards, scoreFunc } = this.config;
    return this.#sharing ? null : cutOf(scoreFunc, dataShards, { candidates, ranks: this.share.worldSize });
  }

  #scoreInParts(
    configs: readonly Readonly<SubnetConfig>[],
    cut: Cut,
    costs: readonly number[] = [1],
    onScore: (score: number, at: number) => void | Promise<void> = () => {},
  ): Promise<number[]> {
    const { signal } = this.config;
    const candidates = configs.map((config, at) => ({
      keyOf: (range: string) => this.#keyOf(`score ${range}`, config),
      cost: costs[at] as number,
      parts: (first: number, end: number) =>
        this.#inside(async () => {
          await this.select(config);
          return cut.score.measure(this.model, { signal, silent: true }, first, end);
        }),
    }));
    return scoreInParts(this.share, candidates, cut, signal, onScore);
  }

  /** Has one of the processes measure; inside of what is shared already, this one. */
  async #shareOne<T>(key: string, measure: () => Promise<T>): Promise<T> {
    if (this.#sharing || this.share.worldSize === 1) return measure();
    const items = [{ key, cost: 1, measure: () => this.#inside(measure) }];
    const [result] = await this.share.measureAll(items, { signal: this.config.signal });
    return result as T;
  }

  async #inside<T>(measure: () => Promise<T>): Promise<T> {
    this.#sharing = true;
    try {
      return await measure();
    } finally {
      this.#sharing = false;
    }
  }

  /** What a candidate's score depends on, beside the model and the data. */
  #keyOf(what: string, partial: Readonly<SubnetConfig>): string {
    const config = completedConfig(this.model, partial);
    return JSON.stringify([what, ...this.model.hyperparameters.map(({ name }) => config[name])]);
  }

  /**
   * Rates candidates as {@link measure} does, each in one of the processes of the config's `group`, the longest first;
   * without a group, one after the other.
   */
  protected async measureAll(
    partials: readonly SubnetConfig[],
    { inOrder = false, predicted, onResult }: MeasureAllOptions = {},
  ): Promise<ScoredSubnet[]> {
    const space = this.model;
    const { signal } = this.config;
    const configs = partials.map((partial) => completedConfig(space, partial));
    const subnets: ScoredSubnet[] = [];
    const costs = configs.map((config, at) => predicted?.[at] ?? space.cost(config, "flops"));
    const take = async (score: number, at: number): Promise<void> => {
      const config = configs[at] as SubnetConfig;
      const subnet = { config, score, costs: space.costs(config) };
      subnets.push(subnet);
      await onResult?.(subnet, at);
    };
    const cut = this.#cut(configs.length);
    if (cut !== null) {
      await this.#scoreInParts(configs, cut, costs, take);
      return subnets;
    }
    const items = configs.map((config, at) => ({
      key: this.#keyOf("score", config),
      cost: costs[at] as number,
      measure: async () => (await this.#inside(() => this.measure(config))).score,
    }));
    const begin = (next: readonly number[]): void => {
      if (inOrder) space.expect(next.map((at) => configs[at] as SubnetConfig));
    };
    await this.share.measureAll<number>(items, { signal, inOrder, begin, onResult: take });
    return subnets;
  }

  /** As {@link score}, with the candidate's complete config and costs; may stop early where a rule is given. */
  protected async measure(partial: SubnetConfig, stop: ScoreStop | null = null): Promise<ScoredSubnet> {
    const config = completedConfig(this.model, partial);
    if (stop === null) {
      const score = await this.score(config);
      return { config, score, costs: this.model.costs(config) };
    }
    const key = this.#keyOf(JSON.stringify(stop), config);
    const found = await this.#shareOne(key, async () => {
      await this.select(config);
      return this.evalScoreUnless(stop.below, stop.errorProbability);
    });
    const scored =
      "score" in found
        ? found
        : { score: Number.NaN, atMost: found.atMost, errorProbability: stop.errorProbability };
    return { config, ...scored, costs: this.model.costs(config) };
  }

  /** Whether a subnet meets all constraints, without running it. */
  protected fits(partial: Readonly<SubnetConfig>): boolean {
    const config = completedConfig(this.model, partial);
    return satisfies(boundedCosts(this.model, config, this.bounds), this.bounds);
  }
}
