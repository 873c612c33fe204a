import { rules, type SearchConfig } from "../../contract/config";
import type { Hyperparameter, SpaceMetric, SubnetConfig } from "../../space/types";
import { isAbort, throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { type ConfigRule, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import {
  bestGrowth,
  choicesToMeasure,
  configAtThreshold,
  customDegradationOf,
  degradationOf,
  type Sensitivity,
  thresholdsOf,
} from "./sensitivity";
import { type ScoredSubnet, SpaceSearcher, type SpaceSearchState } from "./space-searcher";

/** The config of searchers that measure sensitivities first. */
export interface SensitivitySearchConfig extends SearchConfig {
  /**
   * How many reduced widths to measure of each hyperparameter, evenly spread, the smallest always among them; widths
   * between two of them are interpolated ({@link Sensitivity.degradation}). Null for all. Default 3: more take
   * longer, and on some models find better subnets (docs/results.md).
   */
  maxChoices: number | null;
  /**
   * The most bytes of activations to keep while sensitivities are measured, so that each candidate goes on from where it
   * first differs from the full model; false for none. Null (the default) is a quarter of the memory that is free now
   * for a model on the CPU, and 1 GiB of another device's. It changes no result, only the time that is taken.
   */
  activationCache: number | false | null;
}

/** Bytes of another device's memory that kept activations may take, unless told. */
const DEVICE_CACHE = 2 ** 30;

/** What searchers that measure sensitivities keep. */
export interface SensitivitySearchState<Step extends string = string> extends SpaceSearchState {
  /** The full model's score, or null before it was measured. */
  fullScore: number | null;
  /**
   * What degradations are measured against: the full model's score with its batch norms recalibrated, as those of
   * every candidate are; without calibration data the same as `fullScore`. Null before it was measured.
   */
  referenceScore: number | null;
  /** What narrowing each hyperparameter alone does, by name. */
  sensitivity: Record<string, Sensitivity>;
  /** The scored candidates, with the step that each came from. */
  history: (ScoredSubnet & { step: Step })[];
}

/**
 * Measures how sensitive the score is to each hyperparameter alone, for searchers that conclude from that which
 * subnets to try.
 *
 * Each hyperparameter h is narrowed to each choice c, all others full, and the subnet scored. Its degradation is
 * d(h, c) = max over c' >= c of max(0, score(full) - score(h = c')), which never falls as c does; score(full) is that
 * of the recalibrated full model here, since recalibration alone may raise the score. Of many choices a few are measured
 * (`maxChoices`), and d interpolated between them. Of a hyperparameter of the user's own every choice is measured, and
 * d(h, c) = max over all c' of score(h = c') - score(h = c). The state is saved after each
 * hyperparameter and each candidate; a resumed search skips what is measured.
 */
export abstract class SensitivitySearcher<
  Step extends string,
  State extends SensitivitySearchState<Step>,
  Config extends SensitivitySearchConfig = SensitivitySearchConfig,
> extends SpaceSearcher<State, Config> {
  override get defaultSearchConfig(): Config {
    return { ...super.defaultSearchConfig, maxChoices: 3, activationCache: null };
  }

  /** What `defaultStateDict` holds in every such searcher; each adds its own. */
  protected get emptyState(): SensitivitySearchState<Step> {
    return {
      fullScore: null,
      referenceScore: null,
      fullCosts: null,
      sensitivity: {},
      bounds: null,
      history: [],
      best: null,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      maxChoices: orNull(rules.positiveInteger),
      activationCache: {
        expected: "a whole number of bytes of at least 0, false, or null",
        accepts: (value) =>
          value === null || value === false || (Number.isSafeInteger(value) && (value as number) >= 0),
      },
    };
  }

  /** What each hyperparameter's choices cost, all others full: by hyperparameter and metric, parallel to the choices. */
  #narrowings: Record<string, Record<string, number[]>> = {};

  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    return { ...super.checkpointSettings, narrowings: this.#narrowings };
  }

  protected override forgetBounds(): void {
    Object.assign(this.state, { history: [], best: null });
  }

  /** Scores the full model, after the checks. */
  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    const { state } = this;
    if (state.fullScore === null) {
      state.fullScore = await this.score(this.model.fullConfig);
      await this.saveSearchCheckpoint();
    }
    if (state.referenceScore === null) {
      await this.select(this.model.fullConfig);
      state.referenceScore = (await this.recalibrate()) ? await this.evalScore() : state.fullScore;
      await this.saveSearchCheckpoint();
    }
    this.log(`Full model: score ${state.fullScore}.`);
  }

  /** Measures what the state does not hold yet. */
  protected async measureSensitivity(): Promise<void> {
    await this.#priceNarrowings();
    const { model } = this;
    const { budget } = model.reuse;
    model.reuseActivations(this.#cacheBytes());
    try {
      await this.#sweep();
    } finally {
      if (!model.closed) model.reuseActivations(budget);
    }
  }

  #cacheBytes(): number {
    const { activationCache } = this.config;
    if (activationCache !== null) return activationCache === false ? 0 : activationCache;
    return this.model.device === "cpu" ? Math.floor(process.availableMemory() / 4) : DEVICE_CACHE;
  }

  async #sweep(): Promise<void> {
    const { model } = this;
    const { sensitivity } = this.state;
    // Those that begin late come last, so that each goes on from its predecessor's activations, and only those of one
    // place are held at a time. Nothing else depends on the order.
    const hyperparameters = [...model.hyperparameters].sort((a, b) => a.begins - b.begins);
    const { maxChoices } = this.config;
    // Nothing lies between two choices of the user's own.
    const toMeasure = ({ kind, choices }: Hyperparameter): number[] =>
      choicesToMeasure(choices.length, kind === "custom" ? null : maxChoices);
    const total = hyperparameters.reduce((sum, each) => sum + toMeasure(each).length, 0);
    const full = model.fullConfig;
    model.expect(
      hyperparameters.flatMap((hyperparameter) => {
        const { name, choices } = hyperparameter;
        return toMeasure(hyperparameter)
          .filter((at) => (sensitivity[name]?.scores[at] ?? null) === null)
          .map((at) => ({ ...full, [name]: choices[at] as number }));
      }),
    );
    let done = 0;
    for (const hyperparameter of hyperparameters) {
      const { name, choices } = hyperparameter;
      const wanted = toMeasure(hyperparameter);
      const known = sensitivity[name];
      if (known && wanted.every((at) => known.scores[at] !== null)) {
        done += wanted.length;
        continue;
      }
      try {
        await this.#measure(hyperparameter, wanted, (score) => {
          done += 1;
          this.reportSpace(
            { phase: "sensitivity", done, total, message: `measuring ${name}` },
            { score, hyperparameter: name },
          );
        });
      } catch (error) {
        if (isAbort(error)) await this.saveSearchCheckpoint();
        throw error;
      }
      await this.saveSearchCheckpoint();
      const harm = Math.max(...(sensitivity[name] as Sensitivity).degradation);
      this.log(
        `Sensitivity of ${name}: ${harm.toPrecision(3)} at ${choices[0]} of ${choices.at(-1)} (${done}/${total}).`,
      );
    }
    // As the space has them, for whoever reads the state.
    this.state.sensitivity = Object.fromEntries(
      model.hyperparameters.map(({ name }) => [name, sensitivity[name] as Sensitivity]),
    );
  }

  /** For reports, which have no model to ask. */
  async #priceNarrowings(): Promise<void> {
    const { model } = this;
    const breather = new Breather();
    const full = model.fullConfig;
    this.#narrowings = {};
    for (const { name, choices } of model.hyperparameters) {
      const costs: Record<string, number[]> = {};
      for (const metric of model.metrics)
        costs[metric] = choices.map((choice) =>
          model.cost({ ...full, [name]: choice }, metric as SpaceMetric),
        );
      this.#narrowings[name] = costs;
      await breather.breathe();
    }
  }

  async #measure(
    { name, kind, choices }: Hyperparameter,
    wanted: readonly number[],
    tick: (score: number) => void,
  ): Promise<void> {
    const reference = this.state.referenceScore as number;
    const full = this.model.fullConfig;
    const known = this.state.sensitivity[name]?.scores;
    const scores = choices.map((_, at): number | null =>
      at === choices.length - 1 ? reference : (known?.[at] ?? null),
    );
    // In the state at once, so that an interrupted search keeps what it has measured.
    const keep = (): void => {
      this.state.sensitivity[name] = {
        choices: [...choices],
        scores: [...scores],
        degradation:
          kind === "custom" ? customDegradationOf(scores) : degradationOf(scores, reference, choices),
      };
    };
    keep();
    for (const at of wanted) {
      scores[at] ??= await this.score({ ...full, [name]: choices[at] as number });
      keep();
      tick(scores[at] as number);
    }
  }

  /**
   * The smallest threshold at which every constraint holds when each hyperparameter takes its smallest (first) choice that
   * harms by no more, found by bisection, and the subnet that it gives.
   */
  protected bisect(): { threshold: number; config: SubnetConfig } {
    const found = this.bisectAmong(this.model.hyperparameters);
    return found as NonNullable<typeof found>; // the smallest subnet is known to fit
  }

  /** The same among some hyperparameters, the others full; null where these alone can't meet the constraints. */
  protected bisectAmong(
    hyperparameters: readonly Hyperparameter[],
  ): { threshold: number; config: SubnetConfig } | null {
    const sensitivity = Object.fromEntries(
      hyperparameters.map(({ name }) => [name, this.state.sensitivity[name] as Sensitivity]),
    );
    const full = this.model.fullConfig;
    const at = (threshold: number): SubnetConfig => ({
      ...full,
      ...configAtThreshold(hyperparameters, sensitivity, threshold),
    });
    const thresholds = thresholdsOf(sensitivity);
    let low = 0;
    let high = thresholds.length - 1;
    if (!this.fits(at(thresholds[high] as number))) return null;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.fits(at(thresholds[middle] as number))) high = middle;
      else low = middle + 1;
    }
    const threshold = thresholds[low] as number;
    return { threshold, config: at(threshold) };
  }

  /**
   * Widens a subnet as far as the constraints let, each time where that undoes most degradation per share of the
   * budgets spent. The sum of the degradations never rises.
   */
  protected async grow(from: SubnetConfig): Promise<SubnetConfig> {
    const { hyperparameters } = this.model;
    const breather = new Breather(); // a large space takes many steps
    const costsOf = (config: SubnetConfig): Record<string, number> => this.boundedCosts(config);
    let config = from;
    for (;;) {
      const grown = bestGrowth(hyperparameters, this.state.sensitivity, config, this.limits, costsOf);
      if (grown === null) return config;
      config = grown;
      await breather.breathe();
      throwIfAborted(this.config.signal);
    }
  }

  /** Scores a candidate, unless the state has its score already, and keeps it when it is the best; `place` counts it. */
  protected async consider(
    step: Step,
    config: SubnetConfig,
    place: { done: number; total: number },
  ): Promise<void> {
    const { state } = this;
    if (state.history.some((known) => known.step === step && sameNumbers(known.config, config))) return;
    const scored = await this.measure(config);
    state.history.push({ step, ...scored });
    if (state.best === null || scored.score > state.best.score) state.best = scored;
    await this.saveSearchCheckpoint();
    this.reportSpace(
      { phase: "search", ...place, message: `candidate (${step}): score ${scored.score}` },
      { score: scored.score },
    );
    this.log(`Candidate (${step}): score ${scored.score}.`);
  }
}
