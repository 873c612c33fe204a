/**
 * Candidates of a search, one after another: what proposes them, and what is kept of them. Searches and studies use it.
 */
import type { StopRule } from "../evaluation/types";
import { type CandidateColumns, Candidates, noCandidates } from "./candidates";
import { completedConfig } from "./proposals";
import type { Hyperparameter, ScoredSubnet, SpaceCosts, SpaceSearchState, SubnetConfig } from "./types";

/** When scoring of a candidate may stop early. */
export type ScoreStop = Omit<StopRule, "onStop">;

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

/** An algorithm that proposes candidates and learns from them. */
export interface Sampler {
  /**
   * The next candidate. It need not meet the constraints, but only one that does can become the best. What it doesn't
   * name stays as in the full model. May be called several times before one is taken, so it must change nothing but the
   * random numbers.
   *
   * @param ahead how many proposals were taken since the last call of `accept`, and will be accepted in this order; 0
   *   unless there is an `ahead`
   */
  propose(ahead: number): SubnetConfig;
  /**
   * How many proposals, from now on, depend on no score that is not known yet; 1 without this function. That many may be
   * measured at the same time, by the processes of a group.
   */
  ahead?(): number;
  /**
   * Learns from a candidate that was recorded, which is known by its row. `proposal` is what `propose` gave, or a
   * candidate from elsewhere that was told to a study.
   */
  accept?(row: number, proposal: SubnetConfig): void;
  /**
   * The score below which a candidate changes nothing in what the search does or ends with, now and later; null (as
   * without this function) while every score counts.
   */
  uselessBelow?(): number | null;
  /** Copies into the state what the sampler keeps in another form. Called before each save. */
  fillState?(): void;
}

/** What {@link Trials} uses of the search or study whose candidates it keeps. */
export interface TrialTools {
  /** The space that the candidates are subnets of. */
  readonly space: {
    readonly hyperparameters: readonly Hyperparameter[];
    readonly metrics: readonly string[];
    costs(config: Readonly<SubnetConfig>): SpaceCosts;
  };
  /** Whether a subnet meets all constraints, without running it. */
  fits(config: Readonly<SubnetConfig>): boolean;
  /** Writes a line to standard error where that is wanted. */
  log(line: string): void;
}

/** A candidate that a sampler proposed. */
export interface Trial {
  /** Widths by hyperparameter. */
  config: SubnetConfig;
  /** Its row among the candidates; undefined when it was not measured yet. */
  row: number | undefined;
}

/** Candidates that were asked for, and not recorded yet. */
export interface PendingTrials {
  /** How many. */
  count: number;
  /** Their `Candidates.keyOf`. */
  keys: ReadonlySet<string>;
}

const NONE_PENDING: PendingTrials = { count: 0, keys: new Set() };

/**
 * The candidates of a search, as a state holds them: {@link ask} gives the next one, {@link record} takes what it was
 * measured to be, {@link rank} keeps the best.
 */
export class Trials {
  /** What was measured. */
  readonly candidates: Candidates;
  readonly #tools: TrialTools;

  /** @param state holds what was measured before; {@link fillState} brings it up to date */
  constructor(
    tools: TrialTools,
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

  /**
   * A candidate that was not measured yet, if the sampler proposes one soon. What a proposal doesn't name stays as in the
   * full model.
   *
   * @param pending what was asked for before this one, and not recorded yet
   * @throws `ERR_PROPOSAL` when the sampler proposes nothing
   */
  ask(sampler: Pick<Sampler, "propose">, pending: PendingTrials = NONE_PENDING): Trial {
    const propose = (): SubnetConfig =>
      completedConfig(this.#tools.space, sampler.propose(pending.count), "what propose() returned");
    const isNew = (config: SubnetConfig): boolean =>
      this.candidates.find(config) === undefined && !pending.keys.has(this.candidates.keyOf(config));
    let config = propose();
    for (let i = 1; i < ATTEMPTS && !isNew(config); i++) config = propose();
    return { config, row: this.candidates.find(config) };
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
