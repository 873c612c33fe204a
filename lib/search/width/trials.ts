/**
 * Searches that go on in steps: ask a sampler for a candidate, measure it, record it, let the sampler learn from it.
 */
import { rules, type SearchConfig } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import { requireMethods } from "../../space/part-arguments";
import { type Sampler, type ScoreStop, type Trial, Trials } from "../../space/trials";
import type { ScoredSubnet } from "../../space/types";
import { isAbort, throwIfAborted } from "../../util/abort";
import { Breather } from "../../util/breather";
import { describe, expected, isPositiveInteger, isRecord } from "../../util/check";
import type { RandomState } from "../../util/random";
import { type ConfigRule, orNull } from "../../util/rules";
import { SavePace } from "../../util/save-pace";
import { requireConfigKeys, requireTools } from "./part-arguments";
import type { SearchTools } from "./space-searcher";

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

/** A config with a numIters of its own may have none. */
const UNSET_OR_EARLY_STOPPING: ConfigRule = {
  ...ITERATIVE_RULES.earlyStopping,
  accepts: (value) => value === undefined || ITERATIVE_RULES.earlyStopping.accepts(value),
};

function isRacing(value: unknown): value is { errorProbability: number } {
  if (!isRecord(value) || Object.keys(value).length !== 1) return false;
  const p = value.errorProbability;
  return typeof p === "number" && p > 0 && p < 1;
}

/** Candidates that are proposed ahead for each process of a group. */
const AHEAD = 32;

/** Saving takes at most about this share of the time. */
const SAVING_SHARE = 0.1;

/**
 * Runs a search by trials: ask the sampler for a candidate, measure it unless its score is known, record it, let the
 * sampler learn from it, until `numIters` were asked for. In a group, as many candidates as the sampler can propose
 * ahead are measured at the same time, and taken in the same order as in one process. The state is saved between steps, as often as saving takes no
 * more than about a tenth of the time, and when the search is aborted, as it was before the step. Since the random
 * numbers are saved with it, a search that goes on from any of those states ends exactly as an uninterrupted one.
 *
 * @throws `ERR_ARGUMENT`, `ERR_DEFAULT_CONFIG`, and what measuring a candidate throws
 */
export async function iterate(
  tools: SearchTools,
  trials: Trials,
  sampler: Sampler,
  config: Pick<IterativeSearchConfig, "numIters" | "earlyStopping" | "checkpoint">,
): Promise<void> {
  requireTools(tools);
  if (!(trials instanceof Trials)) throw expected("ERR_ARGUMENT", "Trials", "trials", trials);
  requireMethods(sampler, "sampler", ["propose"]);
  requireConfigKeys(config, { earlyStopping: UNSET_OR_EARLY_STOPPING, checkpoint: orNull(rules.path) });
  const { state, candidates } = trials;
  const { numIters, earlyStopping, checkpoint } = config;
  if (tools.parallel > 1 && earlyStopping) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      "earlyStopping can't be used in a group, whose processes measure candidates before the scores are known that would stop " +
        "them: leave it out, or search in one process.",
    );
  }
  if (!isPositiveInteger(numIters)) {
    throw new TorchSearchError(
      "ERR_DEFAULT_CONFIG",
      `expected a whole number of at least 1 for numIters but received ${describe(numIters)}: defaultSearchConfig has to ` +
        "include ...ITERATIVE_DEFAULTS, or a numIters of its own.",
    );
  }
  const save = async (): Promise<void> => {
    trials.fillState();
    sampler.fillState?.();
    await tools.save();
  };
  const measureOne = async (trial: Trial): Promise<ScoredSubnet | null> => {
    const stop = stopOf(earlyStopping, sampler);
    return trials.isKnown(trial, stop) ? null : tools.measure(trial.config, stop);
  };
  const pace = new SavePace(SAVING_SHARE);
  const breather = new Breather();
  const take = async ({ trial, after }: Step, subnet: ScoredSubnet | null): Promise<void> => {
    tools.random.state = after;
    // One that was proposed twice ahead was recorded meanwhile.
    const known = { ...trial, row: trial.row ?? candidates.find(trial.config) };
    const row = subnet === null ? (known.row as number) : trials.record(known, subnet);
    trials.rank(row);
    sampler.accept?.(row, trial.config);
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
  };
  while (state.iteration < numIters) {
    const before = tools.random.state;
    const ahead = tools.parallel === 1 ? 1 : Math.min(sampler.ahead?.() ?? 1, AHEAD * tools.parallel);
    const steps: Step[] = [];
    const keys = new Set<string>();
    let taken = 0;
    try {
      throwIfAborted(tools.signal);
      while (steps.length < Math.min(Math.max(1, ahead), numIters - state.iteration)) {
        const trial = trials.ask(sampler, { count: steps.length, keys });
        keys.add(candidates.keyOf(trial.config));
        steps.push({ trial, after: tools.random.state });
      }
      if (tools.parallel === 1) {
        const [only] = steps as [Step];
        const subnet = await measureOne(only.trial);
        taken = 1;
        await take(only, subnet);
        continue;
      }
      await takeTogether(tools, trials, steps, async (step, subnet) => {
        taken += 1;
        await take(step, subnet);
      });
    } catch (error) {
      if (isAbort(error)) {
        // As before the first one that was not taken.
        tools.random.state = taken === 0 ? before : (steps[taken - 1] as Step).after;
        await save();
      }
      throw error;
    }
  }
  await save();
}

/** A candidate that was asked for, and the random numbers after that. */
interface Step {
  trial: Trial;
  after: RandomState;
}

/** Measures candidates in a group, all at the same time, and takes them in their order. */
async function takeTogether(
  { measureAll }: SearchTools,
  trials: Trials,
  steps: readonly Step[],
  take: (step: Step, subnet: ScoredSubnet | null) => Promise<void>,
): Promise<void> {
  const seen = new Set<string>();
  const isOpen = steps.map(({ trial }) => {
    const key = trials.candidates.keyOf(trial.config);
    if (trials.isKnown(trial, null) || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  let next = 0;
  const takeKnown = async (): Promise<void> => {
    for (; next < steps.length && !isOpen[next]; next++) await take(steps[next] as Step, null);
  };
  await takeKnown();
  await measureAll(
    steps.filter((_, at) => isOpen[at]).map(({ trial }) => trial.config),
    {
      onResult: async (subnet) => {
        await take(steps[next++] as Step, subnet);
        await takeKnown();
      },
    },
  );
}

function stopOf(earlyStopping: IterativeSearchConfig["earlyStopping"], sampler: Sampler): ScoreStop | null {
  const below = earlyStopping === false ? null : (sampler.uselessBelow?.() ?? null);
  if (below === null) return null;
  return { below, errorProbability: isRacing(earlyStopping) ? earlyStopping.errorProbability : 0 };
}
