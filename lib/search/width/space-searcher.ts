import { BaseSearcher } from "../../contract/base";
import type { SearchConfig } from "../../contract/config";
import { type Costs, requireReachable } from "../../contract/constraints";
import { TorchSearchError } from "../../errors";
import type { ForwardLoop, StopRule } from "../../evaluation/types";
import { type SearchRecord, searchRecordOf } from "../../model/history";
import type { Module } from "../../model/module";
import { SearchSpace } from "../../space/search-space";
import type { SpaceCosts, SpaceMetric, SubnetConfig } from "../../space/types";
import { throwIfAborted } from "../../util/abort";
import { describe } from "../../util/check";
import type { ProgressEvent } from "../../util/progress";
import { sameNumbers } from "../../util/same-numbers";
import { prepareLatency } from "./latency-constraint";

/** A subnet that was scored. */
export interface ScoredSubnet {
  /** Widths by hyperparameter. */
  config: SubnetConfig;
  /** NaN where scoring was stopped early. */
  score: number;
  /** In each metric's unit. */
  costs: SpaceCosts;
  /** Where scoring was stopped early: what the score is at most. */
  atMost?: number;
  /** With it: the error probability that it was stopped by; 0 where `atMost` is certain. */
  errorProbability?: number;
}

/** What every searcher of a `SearchSpace` keeps. */
export interface SpaceSearchState {
  /** The full model's costs, or null before they were computed. */
  fullCosts: SpaceCosts | null;
  /** Upper bounds that the rest of the state belongs to, in each metric's unit. */
  bounds: Record<string, number> | null;
  /** The subnet with the highest score among those that meet the bounds; null before one was scored. */
  best: ScoredSubnet | null;
}

/** The `details` of the progress events that searchers of a space send, beside what each adds. */
export interface SpaceProgress {
  /** The best score so far among the subnets that meet the constraints; null before there is one. */
  best: number | null;
  /** What that subnet costs. */
  bestCosts: SpaceCosts | null;
  /** The constraints as upper bounds, in each metric's unit. */
  limits: Readonly<Record<string, number>>;
}

/**
 * What searchers of a `SearchSpace` share: constraints checked before anything is scored, candidates selected,
 * recalibrated and scored in one way, and the best one exported.
 *
 * A constraint on `latency` (milliseconds, or a percentage of the full model's) goes by a latency table: that of the
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
 *   protected forgetBounds() {
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

  /** Drops from the state what belongs to other constraints than those of this search; keeps what was measured. */
  protected abstract forgetBounds(): void;

  /** The space, so that a checkpoint alone tells what was narrowed from where; and what an export's history will say. */
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

  /** Constraints may name what the user added to the space. */
  protected override get knownConstraints(): readonly string[] {
    return this.model instanceof SearchSpace ? this.model.metrics : [];
  }

  /** Sends a progress event with what every searcher of a space can tell; see {@link SpaceProgress}. */
  protected reportSpace(event: Omit<ProgressEvent, "details">, details: Record<string, unknown> = {}): void {
    const { best } = this.state;
    const common: SpaceProgress = {
      best: best?.score ?? null,
      bestCosts: best?.costs ?? null,
      limits: this.limits,
    };
    this.report({ ...event, details: { ...details, ...common } });
  }

  /** The constraints as upper bounds, in each metric's unit. */
  protected get limits(): Readonly<Record<string, number>> {
    return this.state.bounds ?? {};
  }

  /**
   * Checks the model, the constraints and the config; measures operators where a bound on latency needs it.
   *
   * @throws `ERR_ARGUMENT` when the model is no search space; `ERR_UNKNOWN_CONSTRAINT`; `ERR_CONSTRAINT_VALUE`;
   *   `ERR_CONSTRAINT_UNREACHABLE` printing the smallest reachable value; `ERR_NO_SCORE`; `ERR_LATENCY_TABLE_MISMATCH`,
   *   `ERR_LATENCY_TABLE` and errors of files for a deployment's latency table that won't do
   */
  override async beforeSearch(): Promise<void> {
    const space = this.model;
    const name = this.constructor.name;
    if (!(space instanceof SearchSpace)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected a SearchSpace for model but received ${describe(space)}; make one with convert(module, "fastnas", dummyInput)`,
      );
    }
    if (this.constrained.includes("latency")) {
      const { signal, onProgress } = this.config;
      await prepareLatency(space, this.deployment, { signal, onProgress, log: (line) => this.log(line) });
    }
    const fullCosts = space.costs(space.fullConfig);
    const { bounds: limits } = this.resolveConstraints(fullCosts);
    requireReachable(limits, space.costs(space.smallestConfig), fullCosts);
    if (!this.hasScore) {
      throw new TorchSearchError("ERR_NO_SCORE", `${name} needs a score; set scoreFunc in its config.`);
    }
    // With another latency table, or another cost of the user's own, a subnet that met a bound of so many milliseconds may not meet it now.
    const before: Costs = this.state.fullCosts ?? {};
    const repriced = Object.keys(limits).some((metric) => before[metric] !== fullCosts[metric]);
    if (repriced || !sameNumbers(this.state.bounds, limits)) this.forgetBounds();
    this.state.fullCosts = fullCosts;
    this.state.bounds = limits;
    this.#calibration = this.constructForwardLoop();
  }

  /** Leaves the best subnet selected, with its batch norms recalibrated. */
  override async afterSearch(): Promise<void> {
    await this.select((this.state.best as ScoredSubnet).config);
  }

  /** The best subnet as a module of its own. */
  protected override buildSubnet(): Promise<Module> {
    return this.model.export({ signal: this.config.signal, search: this.searchRecord });
  }

  /** What the exported model's history says about this search. */
  protected get searchRecord(): SearchRecord {
    return searchRecordOf(this, this.state.best?.score ?? null);
  }

  /** Selects a candidate and recalibrates it, unless it is the full model. */
  protected async select(config: Readonly<SubnetConfig>): Promise<void> {
    throwIfAborted(this.config.signal);
    this.model.select(config);
    if (!sameNumbers(config, this.model.fullConfig)) await this.recalibrate();
  }

  /** Recalibrates what is selected. Gives false, having done nothing, when the config has no calibration data. */
  protected async recalibrate(): Promise<boolean> {
    if (this.#calibration === null) return false;
    const { signal, onProgress } = this.config;
    await this.model.recalibrate(this.#calibration, { signal, onProgress, silent: true });
    return true;
  }

  /** Selects a candidate, recalibrates it and rates it. */
  protected async score(config: Readonly<SubnetConfig>): Promise<number> {
    await this.select(config);
    return this.evalScore();
  }

  /** As {@link score}, with the candidate's costs; may stop early where a rule is given. */
  protected async measure(
    config: SubnetConfig,
    stop: Omit<StopRule, "onStop"> | null = null,
  ): Promise<ScoredSubnet> {
    if (stop === null) {
      const score = await this.score(config);
      return { config, score, costs: this.model.costs(config) };
    }
    await this.select(config);
    const found = await this.evalScoreUnless(stop.below, stop.errorProbability);
    const scored =
      "score" in found
        ? found
        : { score: Number.NaN, atMost: found.atMost, errorProbability: stop.errorProbability };
    return { config, ...scored, costs: this.model.costs(config) };
  }

  /** Whether a subnet meets all constraints, without running it. */
  protected fits(config: Readonly<SubnetConfig>): boolean {
    return Object.entries(this.limits).every(
      ([metric, bound]) => this.model.cost(config, metric as SpaceMetric) <= bound,
    );
  }

  /** Costs of a subnet by the metrics that are bounded. */
  protected boundedCosts(config: Readonly<SubnetConfig>): Record<string, number> {
    return Object.fromEntries(
      Object.keys(this.limits).map((metric) => [metric, this.model.cost(config, metric as SpaceMetric)]),
    );
  }
}
