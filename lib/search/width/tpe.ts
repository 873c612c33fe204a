import { rules } from "../../contract/config";
import type { Candidates } from "../../space/candidates";
import { fitWithin, sampleWithin } from "../../space/sampling";
import { ITERATIVE_KEYS, type IterativeSearchState, iterativeState, Trials } from "../../space/trials";
import type { SubnetConfig } from "../../space/types";
import type { ConfigRule } from "../../util/rules";
import { ParzenEstimator } from "./parzen";
import { SpaceSearcher } from "./space-searcher";
import { ITERATIVE_DEFAULTS, ITERATIVE_RULES, type IterativeSearchConfig, iterate } from "./trials";

/** The good candidates are at most so many. */
const MOST_GOOD = 25;

/** The config of {@link TpeSearcher}. */
export interface TpeSearchConfig extends IterativeSearchConfig {
  /** Random candidates before the first estimate. */
  startupTrials: number;
  /** Draws from the good candidates' density; the best of them is proposed. */
  candidatesPerStep: number;
  /** The share of candidates that count as good. There are at most 25. */
  goodShare: number;
  /** Share of at least one bound that every candidate must take, 0 to 1, as in `EvolveSearcher`. */
  minBudgetUse: number;
}

/** Where the good candidates are, and the bad ones. */
interface Densities {
  good: ParzenEstimator;
  bad: ParzenEstimator;
}

/** What {@link TpeSearcher} keeps. */
export type TpeSearchState = IterativeSearchState;

/**
 * Tree-structured Parzen estimator: models where good and where bad candidates are, and proposes the candidate that is
 * most likely to be a good one (Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization",
 * NeurIPS 24, 2011).
 *
 * 1. *Start.* The first `startupTrials` candidates are random subnets within the constraints.
 * 2. *Split.* Of n candidates, the ceil(`goodShare` n) with the highest scores are good, 25 at most; the rest is bad.
 * 3. *Densities.* l(x) of the good ones and g(x) of the bad ones, each a mixture of kernels over all hyperparameters
 *    at once, as in Optuna's multivariate TPE; `parzen.ts` has the formulas. The paper's kernels are of one
 *    hyperparameter each.
 * 4. *Proposal.* Of `candidatesPerStep` draws from l, the one with the highest l(x)/g(x), which is where the expected
 *    improvement is highest (section 4.1 of the paper). Back to step 2.
 * 5. *Constraints.* Draws are bent into the bounds before they are compared: random hyperparameters are narrowed until
 *    a draw fits; one that takes less than `minBudgetUse` of every bound is widened.
 *
 * Widths are ordered choices; hyperparameters of the user's own are choices without an order. The defaults are Optuna's:
 * 10 random candidates, 24 draws, a tenth is good.
 *
 * Constraints may be any mix of the space's metrics. With a `checkpoint`, an interrupted search goes on and ends as an
 * uninterrupted one; a larger `numIters` goes on from a finished one. The seed decides what is drawn.
 *
 * @throws from `search`: what {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new TpeSearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   numIters: 15,
 * });
 * console.log(stateDict.best?.score);
 * ```
 */
export class TpeSearcher extends SpaceSearcher<TpeSearchState, TpeSearchConfig> {
  override get defaultSearchConfig(): TpeSearchConfig {
    return {
      ...super.defaultSearchConfig,
      ...ITERATIVE_DEFAULTS,
      startupTrials: 10,
      candidatesPerStep: 24,
      goodShare: 0.1,
      minBudgetUse: 0.85,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...ITERATIVE_RULES,
      startupTrials: rules.positiveInteger,
      candidatesPerStep: rules.positiveInteger,
      goodShare: rules.share,
      minBudgetUse: rules.share,
    };
  }

  get defaultStateDict(): TpeSearchState {
    return iterativeState();
  }

  protected override get lasting(): readonly (keyof TpeSearchState)[] {
    return ITERATIVE_KEYS;
  }

  async runSearch(): Promise<void> {
    const { tools, state, config } = this;
    const trials = new Trials(tools, state);
    const { candidates } = trials;
    // What was measured within other constraints, and does not fit these, says nothing about them.
    const learned = Array.from({ length: candidates.length }, (_, row) => row).filter((row) =>
      tools.fits(candidates.at(row).config),
    );
    let densities: Densities | null = null;
    const sampler = {
      propose: () => {
        const { startupTrials, minBudgetUse } = config;
        if (learned.length < startupTrials) {
          return sampleWithin(this.model, this.bounds, minBudgetUse, this.random);
        }
        densities ??= this.#densities(candidates, learned);
        return this.#propose(densities, candidates);
      },
      ahead: () => Math.max(1, config.startupTrials - learned.length),
      accept: (row: number) => {
        if (row <= (learned.at(-1) ?? -1)) return;
        learned.push(row);
        densities = null;
      },
      uselessBelow: () => this.#uselessBelow(candidates, learned),
    };
    await iterate(tools, trials, sampler, config);
  }

  /** Steps 2 and 3. */
  #densities(candidates: Candidates, learned: readonly number[]): Densities {
    const { goodShare } = this.config;
    const dimensions = this.model.hyperparameters.map(({ kind, choices }) => ({
      size: choices.length,
      categorical: kind === "custom",
    }));
    const count = Math.min(MOST_GOOD, Math.max(1, Math.ceil(goodShare * learned.length)));
    const best = new Set(byScore(candidates, learned).slice(0, count));
    const density = (rows: readonly number[]): ParzenEstimator =>
      new ParzenEstimator(
        dimensions,
        rows.map((row) => this.#positions(candidates.at(row).config)),
      );
    return {
      good: density(learned.filter((row) => best.has(row))),
      bad: density(learned.filter((row) => !best.has(row))),
    };
  }

  /** Steps 4 and 5. Draws that were measured already can't win; if all were, one of them is proposed. */
  #propose({ good, bad }: Densities, candidates: Candidates): SubnetConfig {
    const { model: space, bounds, random } = this;
    const { candidatesPerStep, minBudgetUse } = this.config;
    const { hyperparameters } = space;
    let best: SubnetConfig | null = null;
    let most = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < candidatesPerStep; i++) {
      const at = good.sample(random);
      const drawn = hyperparameters.map(({ name, choices }, d) => [name, choices[at[d] as number] as number]);
      const config = fitWithin(space, Object.fromEntries(drawn), bounds, minBudgetUse, random);
      if (candidates.find(config) !== undefined) {
        best ??= config;
        continue;
      }
      const positions = this.#positions(config);
      const gain = good.logDensity(positions) - bad.logDensity(positions);
      if (gain > most) [best, most] = [config, gain];
    }
    return best as SubnetConfig;
  }

  #positions(config: Readonly<SubnetConfig>): number[] {
    return this.model.hyperparameters.map(({ name, choices }) => choices.indexOf(config[name] as number));
  }

  /** Below 25 better ones, a candidate is never a good one. */
  #uselessBelow(candidates: Candidates, learned: readonly number[]): number | null {
    const last = byScore(candidates, learned)[MOST_GOOD - 1];
    return last === undefined ? null : scoreOf(candidates, last);
  }
}

/** The score of a row, or what bounds it from above. */
function scoreOf(candidates: Candidates, row: number): number {
  const { score, atMost } = candidates.at(row);
  return atMost ?? score;
}

function byScore(candidates: Candidates, rows: readonly number[]): number[] {
  return [...rows].sort((a, b) => scoreOf(candidates, b) - scoreOf(candidates, a) || a - b);
}
