/**
 * Searches that go on in steps: ask a sampler for a candidate, measure it, record it, let the sampler learn from it.
 */
import { rules, type SearchConfig } from "../../contract/config";
import type { SubnetConfig } from "../../space/types";
import { isAbort, throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { isRecord } from "../../util/check";
import type { ConfigRule } from "../../util/rules";
import { SavePace } from "../../util/save-pace";
import { type CandidateColumns, Candidates, noCandidates } from "./candidates";
import type { ScoredSubnet, ScoreStop, SearchTools, SpaceSearchState } from "./space-searcher";

/** The config of searchers that propose one candidate after another. */
export interface IterativeSearchConfig extends SearchConfig {
  /** How many candidates to propose. One that was measured before counts, but is not measured again. */
  numIters: number;
  /**
   * Whether scoring of a candidate may stop before the last sample. False scores all candidates to the end.
   *
   * - `"exact"` stops when it is certain that the score stays below all scores that the search still uses. The search
   *   ends with the same best subnet and score.
   * - `{ errorProbability: p }`, racing, also stops when a candidate that would matter is stopped with a probability of
   *   at most p, over a random order of samples. It needs accuracy; the batches of a pass share p.
   *
   * Built-in scores over built-in loaders can be stopped. `ParetoSearcher` stops no candidate, since any one may be on
   * its front. A stopped candidate has an upper bound instead of a score.
   */
  earlyStopping: false | "exact" | { errorProbability: number };
}

/** The defaults of the keys of {@link IterativeSearchConfig}. */
export const ITERATIVE_DEFAULTS: Pick<IterativeSearchConfig, "numIters" | "earlyStopping"> = {
  numIters: 5000,
  earlyStopping: false,
};

/** What the keys of {@link IterativeSearchConfig} accept. */
export const ITERATIVE_RULES: Readonly<Record<keyof typeof ITERATIVE_DEFAULTS, ConfigRule>> = {
  numIters: rules.positiveInteger,
  earlyStopping: {
    expected: 'false, "exact", or { errorProbability } between 0 and 1',
    accepts: (value) => value === false || value === "exact" || isRacing(value),
  },
};

function isRacing(value: unknown): value is { errorProbability: number } {
  if (!isRecord(value) || Object.keys(value).length !== 1) return false;
  const p = value.errorProbability;
  return typeof p === "number" && p > 0 && p < 1;
}

/** What searchers keep that propose one candidate after another. */
export interface IterativeSearchState extends SpaceSearchState {
  /** Candidates proposed so far. */
  iteration: number;
  /** Every measured subnet once, in order of measurement; `subnetsOf` reads it. */
  candidates: CandidateColumns;
}

/** The keys of {@link IterativeSearchState} that hold under any constraints. */
export const ITERATIVE_KEYS = ["candidates"] as const;

/** The state before anything is proposed; each searcher adds its own keys. */
export function iterativeState(): IterativeSearchState {
  return { fullCosts: null, bounds: null, iteration: 0, candidates: noCandidates(), best: null };
}

/** How often to ask for a candidate that was not measured yet, before one that was is taken. */
const ATTEMPTS = 10;

/** Saving takes at most about this share of the time. */
const SAVING_SHARE = 0.1;

/** An algorithm that proposes candidates and learns from them. */
export interface Sampler {
  /**
   * The next candidate. It need not meet the constraints, but only one that does can become the best. May be called
   * several times before one is taken, so it must change nothing but the random numbers.
   */
  propose(): SubnetConfig;
  /** Learns from a candidate that was recorded, which is known by its row. */
  accept?(row: number): void;
  /**
   * The score below which a candidate changes nothing in what the search does or ends with, now and later; null (as
   * without this function) while every score counts.
   */
  uselessBelow?(): number | null;
  /** Copies into the state what the sampler keeps in another form. Called before each save. */
  fillState?(): void;
}

/** A candidate that a sampler proposed. */
export interface Trial {
  /** Widths by hyperparameter. */
  config: SubnetConfig;
  /** Its row among the candidates; undefined when it was not measured yet. */
  row: number | undefined;
}

/**
 * The candidates of a search, as a state holds them: {@link ask} gives the next one, {@link record} takes what it was
 * measured to be, {@link rank} keeps the best.
 */
export class Trials {
  /** What was measured. */
  readonly candidates: Candidates;
  readonly #tools: Pick<SearchTools, "fits" | "log">;

  /** @param state holds what was measured before; {@link fillState} brings it up to date */
  constructor(
    tools: Pick<SearchTools, "space" | "fits" | "log">,
    readonly state: IterativeSearchState,
  ) {
    this.#tools = tools;
    const { space } = tools;
    const names = space.hyperparameters.map(({ name }) => name);
    this.candidates = new Candidates(names, state.candidates);
    // An earlier run may have had another latency table, or none; its scores still hold.
    const known = Object.keys(state.candidates.costs);
    if (known.length > 0 && (space.metrics.includes("latency") || known.length !== space.metrics.length))
      this.candidates.reprice((config) => space.costs(config));
  }

  /** A candidate that was not measured yet, if the sampler proposes one soon. */
  ask(sampler: Pick<Sampler, "propose">): Trial {
    let config = sampler.propose();
    let row = this.candidates.find(config);
    for (let i = 1; i < ATTEMPTS && row !== undefined; i++) {
      config = sampler.propose();
      row = this.candidates.find(config);
    }
    return { config, row };
  }

  /** Whether what is known of a trial is enough: a score, or an upper bound that the stopping rule would accept. */
  isKnown({ row }: Trial, stop: ScoreStop | null): boolean {
    if (row === undefined) return false;
    const { atMost, errorProbability = 0 } = this.candidates.at(row);
    if (atMost === undefined) return true;
    return stop !== null && atMost < stop.below && errorProbability <= stop.errorProbability;
  }

  /** Keeps what a trial was measured to be; gives its row. */
  record({ row }: Trial, subnet: ScoredSubnet): number {
    if (row === undefined) return this.candidates.add(subnet);
    this.candidates.replace(row, subnet);
    return row;
  }

  /** Makes a candidate the state's best when it is the best that meets the constraints. */
  rank(row: number): void {
    const { state, candidates } = this;
    const candidate = candidates.at(row);
    if (candidate.atMost !== undefined) return;
    if (state.best !== null && candidate.score <= state.best.score) return;
    if (!this.#tools.fits(candidate.config)) return;
    state.best = candidate;
    this.#tools.log(`Best score so far: ${candidate.score}.`);
  }

  /** Copies the candidates into the state. */
  fillState(): void {
    this.state.candidates = this.candidates.columns();
  }
}

/**
 * Runs a search by trials: ask the sampler for a candidate, measure it unless its score is known, record it, let the
 * sampler learn from it, until `numIters` were asked for. The state is saved between steps, as often as saving takes no
 * more than about a tenth of the time, and when the search is aborted, as it was before the step. Since the random
 * numbers are saved with it, a search that goes on from any of those states ends exactly as an uninterrupted one.
 */
export async function iterate(
  tools: SearchTools,
  trials: Trials,
  sampler: Sampler,
  config: Pick<IterativeSearchConfig, "numIters" | "earlyStopping" | "checkpoint">,
): Promise<void> {
  const { state, candidates } = trials;
  const { numIters, earlyStopping, checkpoint } = config;
  const save = async (): Promise<void> => {
    trials.fillState();
    sampler.fillState?.();
    await tools.save();
  };
  const step = async (): Promise<number> => {
    throwIfAborted(tools.signal);
    const trial = trials.ask(sampler);
    const stop = stopOf(earlyStopping, sampler);
    if (trial.row !== undefined && trials.isKnown(trial, stop)) return trial.row;
    return trials.record(trial, await tools.measure(trial.config, stop));
  };
  const pace = new SavePace(SAVING_SHARE);
  const breather = new Breather();
  while (state.iteration < numIters) {
    const before = tools.random.state;
    let row: number;
    try {
      row = await step();
    } catch (error) {
      if (isAbort(error)) {
        tools.random.state = before;
        await save();
      }
      throw error;
    }
    trials.rank(row);
    sampler.accept?.(row);
    state.iteration += 1;
    const { score } = candidates.at(row);
    const stopped = Number.isNaN(score);
    tools.report(
      {
        phase: "search",
        done: state.iteration,
        total: numIters,
        message: `candidate ${state.iteration}: ${stopped ? "stopped early" : `score ${score}`}`,
      },
      { score: stopped ? null : score, measured: candidates.length },
    );
    if (checkpoint !== null) await pace.offer(save);
    await breather.breathe();
  }
  await save();
}

function stopOf(earlyStopping: IterativeSearchConfig["earlyStopping"], sampler: Sampler): ScoreStop | null {
  const below = earlyStopping === false ? null : (sampler.uselessBelow?.() ?? null);
  if (below === null) return null;
  return { below, errorProbability: isRacing(earlyStopping) ? earlyStopping.errorProbability : 0 };
}
