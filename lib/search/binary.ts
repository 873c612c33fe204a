import { setImmediate as nextTurn } from "node:timers/promises";

import { TorchSearchError } from "../errors";
import type { Module } from "../module";
import { BaseSearcher } from "../searcher/base";
import { type ConfigRule, orNull, rules, type SearchConfig } from "../searcher/config";
import { requireReachable, resolveBounds, satisfies } from "../searcher/constraints";
import type { ForwardLoop } from "../searcher/types";
import { type Hyperparameter, SearchSpace, type SpaceMetric, type SubnetConfig } from "../space/search-space";
import { throwIfAborted } from "../util/abort";
import { describe } from "../util/check";
import {
  bestGrowth,
  choicesToMeasure,
  configAtThreshold,
  degradationOf,
  type Sensitivity,
  thresholdsOf,
} from "./sensitivity";

/** The config of {@link BinarySearcher}. */
export interface BinarySearchConfig extends SearchConfig {
  /**
   * How many reduced widths to measure of each hyperparameter, evenly spread, the smallest always among them; a width
   * between two of them counts as harmful as the smaller one. Null (the default) for all.
   */
  maxChoices: number | null;
}

/** A subnet that was scored. */
export interface ScoredSubnet {
  config: SubnetConfig;
  score: number;
  costs: Record<SpaceMetric, number>;
}

/** What {@link BinarySearcher} keeps. All of it can be said in JSON. */
export interface BinarySearchState {
  /** The full model's score, or null before it was measured. */
  fullScore: number | null;
  /** The full model's costs, or null before they were computed. */
  fullCosts: Record<SpaceMetric, number> | null;
  /** What narrowing each hyperparameter alone does, by name. */
  sensitivity: Record<string, Sensitivity>;
  /** Upper bounds that `threshold`, `history` and `best` belong to, in each metric's unit. */
  bounds: Record<string, number> | null;
  /** Degradation tolerated of each hyperparameter, or -1 when the full model meets the bounds; null until known. */
  threshold: number | null;
  /** The scored candidates: what the threshold gives, then what growing made of it. */
  history: (ScoredSubnet & { step: "threshold" | "grown" })[];
  best: ScoredSubnet | null;
}

/**
 * FastNAS: finds the widths of a search space that keep the score highest within the constraints, from how sensitive
 * the score is to each width alone.
 *
 * 1. *Sensitivity.* Each hyperparameter h is narrowed to each choice c, all others full, and the subnet scored. Its
 *    degradation is d(h, c) = max over c' >= c of max(0, score(full) - score(h = c')), which never falls as c does.
 * 2. *Binary search.* For a threshold t, each hyperparameter takes its smallest choice with d(h, c) <= t. The larger t,
 *    the cheaper the subnet; bisection finds the smallest t at which every constraint holds.
 * 3. *Growing.* Since many widths share a threshold, the subnet is often smaller than it must be. As long as
 *    something fits, the hyperparameter is grown that undoes most degradation per share of the budgets spent.
 * 4. The subnets of 2 and 3 are scored; the better one wins, on a tie the one of 2, which is cheaper.
 *
 * Before a candidate is scored, its batch norms are recalibrated on the config's `dataLoader` or `forwardLoop`, when
 * there is one; so are those of the subnet that comes out. The full model keeps the statistics it came with.
 *
 * Constraints may name any of `params`, `macs`, `flops` and `size`. The state is saved after each hyperparameter and
 * each candidate; a resumed search skips what is measured. With other constraints it starts again at step 2, from the
 * same sensitivities. Nothing is random: the same score function gives the same subnet.
 *
 * Steps 1 and 2 follow FastNAS of NVIDIA ModelOpt (`modelopt.torch.nas`, `BinarySearcher`), whose users' guide describes
 * it as pruning by a sensitivity analysis and a binary search for one constraint; step 3 and several constraints are ours.
 *
 * @throws from `search`: `ERR_ARGUMENT` when the model is no search space; `ERR_NO_SCORE`; `ERR_UNKNOWN_CONSTRAINT`;
 *   `ERR_CONSTRAINT_UNREACHABLE` printing the smallest reachable value; what `BaseSearcher.search` throws
 */
export class BinarySearcher extends BaseSearcher<BinarySearchState, BinarySearchConfig, SearchSpace, Module> {
  /** Runs the calibration data, or null when the config has none. */
  #calibration: ForwardLoop | null = null;
  #resolved: Record<string, number> = {};

  override get defaultSearchConfig(): BinarySearchConfig {
    return { ...super.defaultSearchConfig, maxChoices: null };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return { maxChoices: orNull(rules.positiveInteger) };
  }

  get defaultStateDict(): BinarySearchState {
    return {
      fullScore: null,
      fullCosts: null,
      sensitivity: {},
      bounds: null,
      threshold: null,
      history: [],
      best: null,
    };
  }

  /** Checks the model and the constraints before anything is measured, then scores the full model. */
  override async beforeSearch(): Promise<void> {
    const space = this.model;
    if (!(space instanceof SearchSpace)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected a SearchSpace for model but received ${describe(space)}; make one with convert(module, "fastnas", dummyInput)`,
      );
    }
    const { state } = this;
    state.fullCosts = space.costs(space.fullConfig);
    const smallest = space.costs(space.smallestConfig);
    this.#resolved = resolveBounds(this.bounds, state.fullCosts);
    requireReachable(this.#resolved, smallest, state.fullCosts);
    if (!this.hasScore) {
      throw new TorchSearchError(
        "ERR_NO_SCORE",
        "BinarySearcher needs a score; set scoreFunc in its config.",
      );
    }
    // A checkpoint of other constraints still holds all that was measured.
    if (!sameNumbers(state.bounds, this.#resolved)) {
      Object.assign(state, { bounds: { ...this.#resolved }, threshold: null, history: [], best: null });
    }
    this.#calibration = this.constructForwardLoop();
    if (state.fullScore === null) {
      state.fullScore = await this.#score(space.fullConfig);
      await this.saveSearchCheckpoint();
    }
    this.log(`Full model: score ${state.fullScore}.`);
  }

  async runSearch(): Promise<void> {
    await this.#measureSensitivity();
    await this.#searchThreshold();
  }

  /** Leaves the best subnet selected, with its batch norms recalibrated. */
  override async afterSearch(): Promise<void> {
    await this.#select(this.#best().config);
  }

  /** The best subnet as a module of its own. */
  protected override buildSubnet(): Promise<Module> {
    return this.model.export({ signal: this.config.signal });
  }

  async #measureSensitivity(): Promise<void> {
    const { hyperparameters } = this.model;
    const { sensitivity } = this.state;
    const limit = this.config.maxChoices;
    const total = hyperparameters.reduce(
      (sum, { choices }) => sum + choicesToMeasure(choices.length, limit).length,
      0,
    );
    let done = 0;
    for (const hyperparameter of hyperparameters) {
      const { name, choices } = hyperparameter;
      const wanted = choicesToMeasure(choices.length, limit);
      const known = sensitivity[name];
      if (known && wanted.every((at) => known.scores[at] !== null)) {
        done += wanted.length;
        continue;
      }
      sensitivity[name] = await this.#measure(hyperparameter, wanted, () => {
        done += 1;
        this.report({ phase: "sensitivity", done, total, message: `measuring ${name}` });
      });
      await this.saveSearchCheckpoint();
      const harm = Math.max(...(sensitivity[name] as Sensitivity).degradation);
      this.log(
        `Sensitivity of ${name}: ${harm.toPrecision(3)} at ${choices[0]} of ${choices.at(-1)} (${done}/${total}).`,
      );
    }
  }

  async #measure(
    { name, choices }: Hyperparameter,
    wanted: readonly number[],
    tick: () => void,
  ): Promise<Sensitivity> {
    const fullScore = this.state.fullScore as number;
    const full = this.model.fullConfig;
    const scores = choices.map((_, at): number | null => (at === choices.length - 1 ? fullScore : null));
    for (const at of wanted) {
      scores[at] = await this.#score({ ...full, [name]: choices[at] as number });
      tick();
    }
    return { choices: [...choices], scores, degradation: degradationOf(scores, fullScore) };
  }

  async #searchThreshold(): Promise<void> {
    const { state, model } = this;
    const { hyperparameters } = model;
    const at = (threshold: number): SubnetConfig =>
      configAtThreshold(hyperparameters, state.sensitivity, threshold);
    const thresholds = thresholdsOf(state.sensitivity);
    // The last threshold tolerates everything, and so gives the smallest subnet, which is known to fit.
    let low = 0;
    let high = thresholds.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#fits(at(thresholds[middle] as number))) high = middle;
      else low = middle + 1;
    }
    state.threshold = thresholds[low] as number;
    const first = at(state.threshold);
    const grown = await this.#grow(first);
    await this.#consider("threshold", first);
    if (!sameNumbers(first, grown)) await this.#consider("grown", grown);
    this.report({
      phase: "search",
      done: 1,
      total: 1,
      message: "found the subnet",
      details: { ...this.#best() },
    });
  }

  async #grow(from: SubnetConfig): Promise<SubnetConfig> {
    const { hyperparameters } = this.model;
    const metrics = Object.keys(this.#resolved) as SpaceMetric[];
    const costsOf = (config: SubnetConfig): Record<string, number> =>
      Object.fromEntries(metrics.map((metric) => [metric, this.model.cost(config, metric)]));
    let config = from;
    for (;;) {
      const grown = bestGrowth(hyperparameters, this.state.sensitivity, config, this.#resolved, costsOf);
      if (grown === null) return config;
      config = grown;
      await nextTurn(); // a large space takes many steps; let signals and timers through
      throwIfAborted(this.config.signal);
    }
  }

  /** Scores a candidate, unless the state has its score already, and keeps it when it is the best. */
  async #consider(step: "threshold" | "grown", config: SubnetConfig): Promise<void> {
    const { state } = this;
    if (state.history.some((known) => known.step === step && sameNumbers(known.config, config))) return;
    const score = await this.#score(config);
    const scored: ScoredSubnet = { config, score, costs: this.model.costs(config) };
    state.history.push({ step, ...scored });
    if (state.best === null || score > state.best.score) state.best = scored;
    await this.saveSearchCheckpoint();
    this.log(`Candidate (${step}): score ${score}.`);
  }

  async #score(config: SubnetConfig): Promise<number> {
    await this.#select(config);
    return this.evalScore();
  }

  async #select(config: SubnetConfig): Promise<void> {
    const { model } = this;
    const { signal, onProgress } = this.config;
    throwIfAborted(signal);
    model.select(config);
    if (this.#calibration === null || sameNumbers(config, model.fullConfig)) return;
    await model.recalibrate(this.#calibration, { signal, onProgress, silent: true });
  }

  #fits(config: SubnetConfig): boolean {
    return satisfies(this.model.costs(config), this.#resolved);
  }

  #best(): ScoredSubnet {
    return this.state.best as ScoredSubnet;
  }
}

function sameNumbers(
  a: Readonly<Record<string, number>> | null,
  b: Readonly<Record<string, number>>,
): boolean {
  if (a === null) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
