/** Asking and telling: a study of a space, for an optimizer of the user's own in any style. */
import {
  type Bounds,
  type Costs,
  type ParsedConstraints,
  parseConstraints,
  requireReachable,
  resolveParsed,
  satisfies,
} from "../contract/constraints";
import { constructForwardLoop } from "../contract/construct-forward-loop";
import { SearchCheckpoint } from "../contract/search-checkpoint";
import type { Constraints } from "../contract/types";
import { ALONE } from "../distributed/work-share";
import { TorchSearchError } from "../errors";
import { exclusively } from "../evaluation/model-guard";
import { scoreModel } from "../evaluation/score-model";
import type { ForwardLoop, RunContext } from "../evaluation/types";
import { searchRecordOf } from "../model/history";
import type { Module } from "../model/module";
import { throwIfAborted } from "../util/abort";
import { describe, isRecord } from "../util/check";
import { Random } from "../util/random";
import { sameNumbers } from "../util/same-numbers";
import { SavePace } from "../util/save-pace";
import { printable } from "../util/terminal";
import { subnetsOf } from "./candidates";
import { prepareLatency } from "./latency-constraint";
import { completedConfig } from "./proposals";
import { boundedCosts, sampleWithin } from "./sampling";
import { completeStudyOptions, type StudyOptions, studySettings } from "./study-options";
import type { StudiedSpace, StudyCandidate, StudyState } from "./study-types";
import { iterativeState, Trials } from "./trials";
import type { ScoredSubnet, SubnetConfig } from "./types";

/** How often to draw a candidate that is new, before one that isn't is taken. */
const ATTEMPTS = 10;

/**
 * A study of a space: {@link ask} gives candidates within the constraints, {@link tell} takes their scores, and
 * {@link finish} makes the best one a module. The optimizer is the code around it, in any style: it draws with `random`,
 * or proposes its own candidates, in batches or one by one, and needs no class. `SearchSpace.study` makes one.
 *
 * With a `checkpoint`, a program that is killed and started again goes on as if it had never stopped. It must be a loop
 * over {@link told}, take its chance from {@link random}, and keep what else it remembers in {@link memory}, which it
 * changes before it tells a round's last score. The state is saved when all candidates that are out were told, which ends
 * a round of any size. Where some are always out, as in a pool of workers, it is saved all the same, and those are given
 * out again, first. The file is one that `torchsearch report` and every reader of a search's checkpoint understand.
 */
export class Study {
  readonly #space: StudiedSpace;
  readonly #constraints: Constraints<string>;
  readonly #parsed: ParsedConstraints;
  readonly #options: Required<StudyOptions>;
  readonly #checkpoint = new SearchCheckpoint();
  readonly #pace = new SavePace(0.1);
  #state: StudyState = { ...iterativeState(), asked: [], memory: null };
  #random: Random;
  #trials: Trials;
  #again: SubnetConfig[] = [];
  /** Whether the checkpoint's file is ours alone. */
  #claimed = false;
  /** In this round or since the last save: the scores told, and the most candidates that were out at once. */
  #tells = 0;
  #mostAsked = 0;
  /** Asked for and not told, the same candidate as often as it was asked for: a round may name one twice. */
  #untold = 0;
  #calibration: ForwardLoop | null = null;
  #opening: Promise<void> | null = null;

  /** @internal */
  constructor(space: StudiedSpace, constraints: Constraints<string>, options: StudyOptions) {
    this.#space = space;
    this.#constraints = constraints;
    this.#options = completeStudyOptions(options);
    this.#parsed = parseConstraints(constraints, { known: space.metrics, searcher: "A study" });
    this.#random = new Random(this.#options.seed);
    this.#trials = this.#newTrials();
  }

  /**
   * Reads the checkpoint, and checks the constraints. Everything else that returns a promise does this first, so call it
   * only to read {@link told} or {@link memory} before anything is asked.
   *
   * @returns this study
   * @throws `ERR_CONSTRAINT_UNREACHABLE` with the smallest reachable value, `ERR_UNKNOWN_CONSTRAINT`,
   *   `ERR_CONSTRAINT_VALUE`, errors of checkpoints (`ERR_CHECKPOINT_IN_USE` while another study has it)
   *   and latency tables, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async open(): Promise<this> {
    this.#opening ??= this.#open().catch(async (error: unknown) => {
      this.#opening = null;
      await this.close();
      throw error;
    });
    await this.#opening;
    return this;
  }

  async #open(): Promise<void> {
    const { checkpoint, signal, onProgress, deployment, seed } = this.#options;
    const space = this.#space;
    throwIfAborted(signal);
    await this.#claim();
    const initial: StudyState = { ...iterativeState(), asked: [], memory: null };
    const log = (line: string): void => this.#log(line);
    const found = await this.#checkpoint.load(checkpoint, {
      model: () => space,
      initial: { ...initial },
      strict: true,
      signal,
      log,
      share: ALONE,
    });
    this.#state = found === null ? initial : (found.state as unknown as StudyState);
    this.#random = found === null ? new Random(seed) : Random.fromState(found.random);
    const named = [...Object.keys(this.#parsed.upper)];
    if (named.includes("latency")) await prepareLatency(space, deployment, { signal, onProgress, log });
    const fullCosts = space.costs(space.fullConfig);
    const { bounds } = resolveParsed(this.#parsed, fullCosts);
    requireReachable(bounds, space.costs(space.smallestConfig), fullCosts);
    const before: Costs = this.#state.fullCosts ?? {};
    const repriced = Object.keys(bounds).some((metric) => before[metric] !== fullCosts[metric]);
    const others = repriced || !sameNumbers(this.#state.bounds, bounds);
    Object.assign(this.#state, { fullCosts, bounds });
    this.#trials = this.#newTrials();
    if (others) {
      // Scores hold under any constraints; which of them is the best does not.
      this.#state.best = null;
      for (let row = 0; row < this.#trials.candidates.length; row++) this.#trials.rank(row);
    }
    this.#again = [...this.#state.asked];
    const context: RunContext = { signal, onProgress, silent: true };
    const { verbose: _, seed: __, minBudgetUse: ___, ...data } = this.#options;
    this.#calibration = constructForwardLoop(
      { ...data, lossFunc: null, verbose: false, seed, group: null, dataShards: null },
      {},
      { context, onStart: () => undefined },
    );
  }

  /** The constraints as upper bounds, in each metric's unit; empty before the study is open. */
  get bounds(): Bounds {
    return this.#state.bounds ?? {};
  }

  /** How many scores were told. */
  get told(): number {
    return this.#state.iteration;
  }

  /** The best candidate that meets all constraints; null before there is one. */
  get best(): ScoredSubnet | null {
    return this.#state.best;
  }

  /** Every candidate that was told, once, in the order in which they were first told. */
  get candidates(): ScoredSubnet[] {
    return subnetsOf(this.#trials.candidates.columns());
  }

  /** Random numbers for the optimizer; their state is in the checkpoint. */
  get random(): Random {
    return this.#random;
  }

  /** What the optimizer wants to find again after a restart: numbers, texts, arrays, typed arrays and records of those. */
  get memory(): unknown {
    return this.#state.memory;
  }

  set memory(value: unknown) {
    this.#state.memory = value;
  }

  /** The state, as a checkpoint holds it. */
  stateDict(): StudyState {
    this.#trials.fillState();
    return { ...this.#state };
  }

  /**
   * Gives a candidate to score. Without `proposal`: one that was asked for before a restart and not told, if there is
   * any; else a random one that meets the constraints and was not given out yet, if that is found soon.
   *
   * @param proposal a candidate of the optimizer's own; hyperparameters that it leaves out take the full model's value
   * @throws `ERR_ARGUMENT`, `ERR_UNKNOWN_HYPERPARAMETER` and `ERR_CHOICE` for a proposal that is not a subnet; what
   *   {@link open} throws
   */
  async ask(proposal?: Readonly<SubnetConfig>): Promise<StudyCandidate> {
    await this.open();
    throwIfAborted(this.#options.signal);
    const config = proposal === undefined ? (this.#again.shift() ?? this.#draw()) : this.#complete(proposal);
    if (this.#indexOfAsked(config) < 0) this.#state.asked.push(config);
    this.#untold += 1;
    this.#mostAsked = Math.max(this.#mostAsked, this.#untold);
    return this.#candidateOf(config);
  }

  /**
   * Records a score. Saves the checkpoint at the end of a round, as often as that takes at most a tenth of the time.
   *
   * @param candidate what {@link ask} gave, or any config, which need not have been asked for
   * @param score higher is better; telling a candidate again replaces its score
   * @throws `ERR_SCORE_NAN` for anything but a finite number; `ERR_ARGUMENT`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`;
   *   `ERR_CHECKPOINT_WRITE`; what {@link open} throws
   */
  async tell(candidate: StudyCandidate | Readonly<SubnetConfig>, score: number): Promise<void> {
    await this.open();
    const config = this.#complete(isCandidate(candidate) ? candidate.config : candidate);
    if (!Number.isFinite(score)) {
      throw new TorchSearchError(
        "ERR_SCORE_NAN",
        `expected a finite number for the score of a candidate but received ${describe(score)}`,
      );
    }
    const { candidates } = this.#trials;
    const known = candidates.find(config);
    const costs = this.#space.costs(config);
    const row = this.#trials.record({ config, row: known }, { config, score, costs });
    if (known === undefined) this.#trials.rank(row);
    else this.#rankAll();
    const at = this.#indexOfAsked(config);
    if (at >= 0) this.#state.asked.splice(at, 1);
    this.#state.iteration += 1;
    const { checkpoint, onProgress } = this.#options;
    const { iteration, best } = this.#state;
    onProgress?.({
      phase: "search",
      done: iteration,
      total: null,
      message: `candidate ${iteration}: score ${score}`,
      details: { score, best: best?.score ?? null, bestCosts: best?.costs ?? null, bounds: this.bounds },
    });
    this.#tells += 1;
    // In the middle of a round the optimizer's own place in it would be lost.
    this.#untold = Math.max(0, this.#untold - 1);
    const round = this.#untold === 0 || this.#tells > this.#mostAsked;
    if (checkpoint !== null && round) await this.#pace.offer(() => this.save());
    // A round that was too early to save is over all the same: the next one begins to count.
    if (this.#untold === 0) this.#tells = this.#mostAsked = 0;
  }

  /**
   * Selects a candidate, recalibrates its batch norms on the options' data, and rates it with their `scoreFunc`. An
   * optimizer with a score of its own doesn't need it. It does not {@link tell}.
   *
   * @throws `ERR_NO_SCORE` without `scoreFunc`; `ERR_SCORE_NAN`, `ERR_SCORE_FAILED`; `ERR_BUSY` while the space is
   *   searched; what {@link open} throws
   */
  async score(candidate: StudyCandidate | Readonly<SubnetConfig>): Promise<number> {
    await this.open();
    const config = this.#complete(isCandidate(candidate) ? candidate.config : candidate);
    const { scoreFunc, signal, onProgress } = this.#options;
    if (scoreFunc === null) {
      throw new TorchSearchError(
        "ERR_NO_SCORE",
        "This study has no scoreFunc: give one in its options, or tell() your own scores.",
      );
    }
    return exclusively(this.#space, async () => {
      await this.#select(config);
      return scoreModel(this.#space, scoreFunc, { signal, onProgress, silent: true });
    });
  }

  /** Saves the state to the checkpoint now; does nothing without one. @throws `ERR_CHECKPOINT_WRITE`, `ERR_STATE_VALUE` */
  async save(): Promise<void> {
    const { checkpoint, signal } = this.#options;
    this.#tells = 0;
    this.#mostAsked = this.#untold;
    await this.#claim();
    await this.#checkpoint.save(checkpoint, {
      model: () => this.#space,
      verbose: false,
      signal,
      content: () => ({
        state: { ...this.stateDict() },
        random: this.#random.state,
        searcher: "Study",
        settings: studySettings(this.#space, this.#constraints, this.#options, this.#record()),
      }),
    });
  }

  /**
   * Saves, selects the best candidate with its batch norms recalibrated, and makes a module of it, with its history. The
   * study may go on afterwards.
   *
   * @throws `ERR_NO_CANDIDATE` where none that was told meets the constraints; what saving and exporting throw
   */
  async finish(): Promise<{ subnet: Module; stateDict: StudyState }> {
    await this.open();
    const { best } = this.#state;
    if (best === null) {
      throw new TorchSearchError(
        "ERR_NO_CANDIDATE",
        `None of the ${this.told} candidates that were told meets the constraints. Candidates from ask() do: tell() their scores.`,
      );
    }
    await this.save();
    const made = await exclusively(this.#space, async () => {
      await this.#select(best.config);
      const subnet = await this.#space.export({ signal: this.#options.signal, search: this.#record() });
      return { subnet, stateDict: this.stateDict() };
    });
    await this.#release("well");
    return made;
  }

  /** Lets another study or search use the checkpoint; saves nothing. {@link finish}, and the end of the process, do so too. */
  async close(): Promise<void> {
    await this.#release("early");
  }

  /** As {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #claim(): Promise<void> {
    if (!this.#claimed) await this.#checkpoint.begin(this.#options.checkpoint);
    this.#claimed = true;
  }

  async #release(how: "well" | "early"): Promise<void> {
    this.#claimed = false;
    await this.#checkpoint.end(how);
  }

  #record() {
    const settings = { config: this.#options, constraints: this.#constraints };
    return { ...searchRecordOf(settings, this.#state.best?.score ?? null), searcher: "Study" };
  }

  async #select(config: Readonly<SubnetConfig>): Promise<void> {
    const { signal, onProgress } = this.#options;
    throwIfAborted(signal);
    this.#space.select(config);
    if (sameNumbers(config, this.#space.fullConfig)) return;
    await this.#space.refit(signal ?? null);
    if (this.#calibration === null) return;
    await this.#space.recalibrate(this.#calibration, { signal, onProgress, silent: true });
  }

  #newTrials(): Trials {
    const tools = {
      space: this.#space,
      fits: (config: Readonly<SubnetConfig>) => this.#fits(config),
      log: (line: string) => this.#log(line),
    };
    return new Trials(tools, this.#state);
  }

  #rankAll(): void {
    this.#state.best = null;
    for (let row = 0; row < this.#trials.candidates.length; row++) this.#trials.rank(row);
  }

  #draw(): SubnetConfig {
    const draw = (): SubnetConfig =>
      sampleWithin(this.#space, this.bounds, this.#options.minBudgetUse, this.#random);
    const { candidates } = this.#trials;
    const isNew = (config: SubnetConfig): boolean =>
      candidates.find(config) === undefined && this.#indexOfAsked(config) < 0;
    let config = draw();
    for (let i = 1; i < ATTEMPTS && !isNew(config); i++) config = draw();
    return config;
  }

  /** A subnet with all its hyperparameters. Pricing it checks the names and values. */
  #complete(proposal: Readonly<SubnetConfig>): SubnetConfig {
    if (!isRecord(proposal)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected widths by hyperparameter for a candidate but received ${describe(proposal)}`,
      );
    }
    this.#space.costs(proposal);
    return completedConfig(this.#space, proposal);
  }

  #candidateOf(config: SubnetConfig): StudyCandidate {
    const row = this.#trials.candidates.find(config);
    const score = row === undefined ? null : this.#trials.candidates.at(row).score;
    return Object.freeze({
      config: Object.freeze({ ...config }),
      costs: this.#space.costs(config),
      fits: this.#fits(config),
      score,
    });
  }

  #fits(config: Readonly<SubnetConfig>): boolean {
    return satisfies(boundedCosts(this.#space, config, this.bounds), this.bounds);
  }

  #indexOfAsked(config: SubnetConfig): number {
    return this.#state.asked.findIndex((asked) => sameNumbers(asked, config));
  }

  #log(line: string): void {
    if (this.#options.verbose) process.stderr.write(`${printable(line)}\n`);
  }
}

/** Whether it is what `ask` gives, rather than a config. */
function isCandidate(value: StudyCandidate | Readonly<SubnetConfig>): value is StudyCandidate {
  return isRecord(value) && isRecord(value.config);
}
