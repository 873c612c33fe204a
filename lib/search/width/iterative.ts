import { rules, type SearchConfig } from "../../contract/config";
import type { StopRule } from "../../evaluation/types";
import type { SubnetConfig } from "../../space/types";
import { isAbort, throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { isRecord } from "../../util/check";
import { Random } from "../../util/random";
import type { ConfigRule } from "../../util/rules";
import { type CandidateColumns, Candidates, noCandidates } from "./candidates";
import { type ScoredSubnet, SpaceSearcher, type SpaceSearchState } from "./space-searcher";

/** The config of searchers that propose one candidate after another. */
export interface IterativeSearchConfig extends SearchConfig {
  /** How many candidates to propose. One that was measured before counts, but is not measured again. Default 5000. */
  numIters: number;
  /**
   * Whether a candidate's score is taken to the end when it can't matter any more, because it stays below what the search still
   * looks at whatever the remaining samples say. `"exact"`: stopped where that is certain, so that the search ends with the same
   * best subnet and score as without. `{ errorProbability: p }`, racing: also where a candidate that would matter is stopped with
   * a probability of at most p, over a random order of samples; it needs accuracy, and the batches of a pass share p. Built-in scores over built-in loaders can be stopped; `ParetoSearcher` stops none, since any candidate may be on
   * its front. Stopped candidates have no score, but an upper bound. Default false: all are scored.
   */
  earlyStopping: false | "exact" | { errorProbability: number };
}

/** What searchers keep that propose one candidate after another. */
export interface IterativeSearchState extends SpaceSearchState {
  /** Candidates proposed so far. */
  iteration: number;
  /** Every measured subnet once, in order of measurement; `subnetsOf` reads it. */
  candidates: CandidateColumns;
}

function isRacing(value: unknown): value is { errorProbability: number } {
  if (!isRecord(value) || Object.keys(value).length !== 1) return false;
  const p = value.errorProbability;
  return typeof p === "number" && p > 0 && p < 1;
}

/** How often a searcher tries to propose a candidate that was not measured yet, before it takes one that was. */
const ATTEMPTS = 10;

/** Saving takes at most this share of the time, roughly. */
const SAVING_SHARE = 0.1;

/**
 * A search that goes on in steps: propose a candidate, measure it unless its score is known, learn from it. The state
 * is saved between steps, as often as saving takes no more than about a tenth of the time. Since the random numbers are
 * saved with it, a search that goes on from any of those states ends exactly as an uninterrupted one. With other
 * constraints it begins anew, but measures nothing again.
 */
export abstract class IterativeSearcher<
  State extends IterativeSearchState = IterativeSearchState,
  Config extends IterativeSearchConfig = IterativeSearchConfig,
> extends SpaceSearcher<State, Config> {
  #candidates: Candidates | null = null;
  #savedAt = 0;
  #savingTook = 0;

  override get defaultSearchConfig(): Config {
    return { ...super.defaultSearchConfig, numIters: 5000, earlyStopping: false };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      numIters: rules.positiveInteger,
      earlyStopping: {
        expected: 'false, "exact", or { errorProbability } between 0 and 1',
        accepts: (value) => value === false || value === "exact" || isRacing(value),
      },
    };
  }

  /** The part of the state that is common to all. */
  protected get defaultIterativeState(): IterativeSearchState {
    return { fullCosts: null, bounds: null, iteration: 0, candidates: noCandidates(), best: null };
  }

  /** What was measured. */
  protected get candidates(): Candidates {
    this.#candidates ??= new Candidates(
      this.model.hyperparameters.map(({ name }) => name),
      this.state.candidates,
    );
    return this.#candidates;
  }

  /**
   * The next candidate. It need not meet the constraints, but only one that does can become the best. May be asked
   * several times before one is taken, so it changes nothing but `random`.
   */
  protected abstract propose(): SubnetConfig;

  /**
   * The score below which a candidate changes nothing in what the search does or ends with, now and later; null while there is
   * none, and where every score counts, as by default.
   */
  protected get uselessBelow(): number | null {
    return null;
  }

  /** Learns from a proposed candidate, which is known by its row in {@link candidates}. */
  protected abstract accept(row: number): void;

  /** Copies into the state what it is to hold and the search keeps in another form. */
  protected fillState(): void {
    this.state.candidates = this.candidates.columns();
  }

  /** Begins anew: what was measured stays, but nothing that was learned from it. */
  protected restart(): void {
    const { fullCosts, bounds, candidates } = this.state;
    Object.assign(this.state, this.defaultStateDict, { fullCosts, bounds, candidates });
    this.random = new Random(this.config.seed);
  }

  protected override forgetBounds(): void {
    this.restart();
  }

  override async beforeSearch(): Promise<void> {
    this.#candidates = null;
    await super.beforeSearch();
    // An earlier run may have had another latency table, or none; its scores still hold.
    const { metrics } = this.model;
    const known = Object.keys(this.state.candidates.costs);
    if (known.length > 0 && (metrics.includes("latency") || known.length !== metrics.length))
      this.candidates.reprice((config) => this.model.costs(config));
  }

  async runSearch(): Promise<void> {
    const { state } = this;
    const { numIters } = this.config;
    const breather = new Breather();
    this.#savedAt = performance.now();
    while (state.iteration < numIters) {
      const row = await this.#measureNext();
      this.rank(row);
      this.accept(row);
      state.iteration += 1;
      const { score } = this.candidates.at(row);
      this.reportSpace(
        {
          phase: "search",
          done: state.iteration,
          total: numIters,
          message: `candidate ${state.iteration}: ${Number.isNaN(score) ? "stopped early" : `score ${score}`}`,
        },
        { score: Number.isNaN(score) ? null : score, measured: this.candidates.length },
      );
      await this.#saveAtTimes();
      await breather.breathe();
    }
    await this.#save();
  }

  /**
   * Proposes and measures the next candidate; gives its row. When it is interrupted, the state as it was before the
   * proposal is saved, random numbers included.
   */
  async #measureNext(): Promise<number> {
    const before = this.random.state;
    try {
      throwIfAborted(this.config.signal);
      const config = this.#fresh();
      const stop = this.#stop;
      const known = this.candidates.find(config);
      if (known === undefined) return this.candidates.add(await this.measure(config, stop));
      if (!this.#holds(this.candidates.at(known), stop))
        this.candidates.replace(known, await this.measure(config, stop));
      return known;
    } catch (error) {
      if (isAbort(error)) {
        this.random = Random.fromState(before);
        await this.#save();
      }
      throw error;
    }
  }

  /** Whether what is known of a candidate is enough: what was stopped below one score may matter to a search that began anew. */
  #holds({ atMost, errorProbability = 0 }: ScoredSubnet, stop: Omit<StopRule, "onStop"> | null): boolean {
    if (atMost === undefined) return true;
    return stop !== null && atMost < stop.below && errorProbability <= stop.errorProbability;
  }

  get #stop(): Omit<StopRule, "onStop"> | null {
    const { earlyStopping } = this.config;
    const below = earlyStopping === false ? null : this.uselessBelow;
    if (below === null) return null;
    return { below, errorProbability: isRacing(earlyStopping) ? earlyStopping.errorProbability : 0 };
  }

  /** A candidate that was not measured yet, if one is found soon. */
  #fresh(): SubnetConfig {
    let config = this.propose();
    for (let i = 1; i < ATTEMPTS && this.candidates.find(config) !== undefined; i++) config = this.propose();
    return config;
  }

  /** Keeps a candidate when it is the best that meets the constraints. */
  protected rank(row: number): void {
    const { state } = this;
    const candidate = this.candidates.at(row);
    if (candidate.atMost !== undefined) return;
    if (state.best !== null && candidate.score <= state.best.score) return;
    if (!this.fits(candidate.config)) return;
    state.best = candidate;
    this.log(`Best score so far: ${candidate.score}.`);
  }

  async #saveAtTimes(): Promise<void> {
    if (this.config.checkpoint === null) return;
    if ((performance.now() - this.#savedAt) * SAVING_SHARE >= this.#savingTook) await this.#save();
  }

  async #save(): Promise<void> {
    this.fillState();
    const start = performance.now();
    await this.saveSearchCheckpoint();
    this.#savedAt = performance.now();
    this.#savingTook = this.#savedAt - start;
  }
}
