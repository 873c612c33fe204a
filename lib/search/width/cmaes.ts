import { rules } from "../../contract/config";
import type { Candidates } from "../../space/candidates";
import { fitWithin } from "../../space/sampling";
import { ITERATIVE_KEYS, type IterativeSearchState, iterativeState, Trials } from "../../space/trials";
import type { SubnetConfig } from "../../space/types";
import { type ConfigRule, orNull } from "../../util/rules";
import { CmaEs, type CmaState, cmaState, populationOf } from "./cma";
import { choicesOf } from "./cma-margin";
import { Grid, movedWithin, pointOf } from "./cma-points";
import { SpaceSearcher } from "./space-searcher";
import { ITERATIVE_DEFAULTS, ITERATIVE_RULES, type IterativeSearchConfig, iterate } from "./trials";

/** The config of {@link CmaEsSearcher}. */
export interface CmaEsSearchConfig extends IterativeSearchConfig {
  /** Candidates of a generation; null takes 4 + floor(3 ln n) for n hyperparameters. */
  populationSize: number | null;
  /** The first step size, as a share of each hyperparameter's range. */
  initialStep: number;
  /** Share of at least one bound that every candidate must take, where widths allow it; 0 to 1. */
  minBudgetUse: number;
}

/** What {@link CmaEsSearcher} keeps. */
export interface CmaEsSearchState extends IterativeSearchState {
  /** The distribution that candidates are drawn from; null before the first draw. */
  distribution: CmaState | null;
  /** The present generation so far, as rows of `candidates`. */
  generation: number[];
  /** The draw of each of them, one after the other: from 0, the first choice, to 1, the last one. */
  draws: Float64Array;
}

/**
 * CMA-ES with margin: draws candidates from a normal distribution whose mean, size and shape follow the best ones
 * (Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772, 2016). With the margin of Hamano et al. (GECCO
 * 2022), every choice stays within reach. `cma.ts` and `cma-margin.ts` have the formulas.
 *
 * 1. *Draw.* A point of the distribution; each coordinate stands for the nearest choice of one hyperparameter.
 *    Choices, also those of the user's own, are taken to be in order and evenly spaced.
 * 2. *Constraints.* A point that exceeds a bound, or takes less than `minBudgetUse` of every one, is moved along the
 *    diagonal, all widths narrower or wider by the same share of their ranges, to where it just fits. What can't be
 *    moved into the bounds is narrowed at random.
 * 3. *Update.* After `populationSize` candidates, the distribution learns from their ranks. A moved point enters as
 *    an injected one. Back to step 1.
 *
 * Constraints may be any mix of the space's metrics. With a `checkpoint`, an interrupted search goes on and ends as an
 * uninterrupted one; a larger `numIters` goes on from a finished one. The seed decides what is drawn.
 *
 * @throws from `search`: what {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
 *
 * @example
 * ```ts
 * const { stateDict } = await new CmaEsSearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   numIters: 15,
 * });
 * console.log(stateDict.best?.score);
 * ```
 */
export class CmaEsSearcher extends SpaceSearcher<CmaEsSearchState, CmaEsSearchConfig> {
  override get defaultSearchConfig(): CmaEsSearchConfig {
    return {
      ...super.defaultSearchConfig,
      ...ITERATIVE_DEFAULTS,
      populationSize: null,
      initialStep: 0.3,
      minBudgetUse: 0.85,
    };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...ITERATIVE_RULES,
      populationSize: orNull({
        expected: "a whole number of at least 2",
        accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 2,
      }),
      initialStep: rules.positive,
      minBudgetUse: rules.share,
    };
  }

  get defaultStateDict(): CmaEsSearchState {
    return { ...iterativeState(), distribution: null, generation: [], draws: new Float64Array() };
  }

  protected override get lasting(): readonly (keyof CmaEsSearchState)[] {
    return ITERATIVE_KEYS;
  }

  async runSearch(): Promise<void> {
    const { tools, state, config, model: space, bounds, random } = this;
    const grid = new Grid(space.hyperparameters);
    const { sizes } = grid;
    const lambda = config.populationSize ?? populationOf(Math.max(1, sizes.length));
    state.distribution ??= cmaState(new Float64Array(sizes.length).fill(0.5), config.initialStep);
    const cma = new CmaEs(state.distribution, sizes, lambda);
    const trials = new Trials(tools, state);
    const { candidates } = trials;
    /** The draws behind proposals that were not taken yet. */
    const draws = new WeakMap<SubnetConfig, Float64Array>();
    const sampler = {
      propose: () => {
        const draw = movedWithin(space, grid, cma, cma.draw(random), bounds, config.minBudgetUse);
        const proposal = fitWithin(
          space,
          grid.configOf(choicesOf(draw, cma.state, sizes)),
          bounds,
          0,
          random,
        );
        draws.set(proposal, draw);
        return proposal;
      },
      ahead: () => lambda - state.generation.length,
      accept: (row: number, proposal: SubnetConfig) => {
        // A proposal that comes from elsewhere is a point, too.
        const draw = draws.get(proposal) ?? cma.state.mean;
        const point = pointOf(grid.choicesOf(candidates.at(row).config), draw, cma.state, sizes);
        state.generation.push(row);
        state.draws = Float64Array.from([...state.draws, ...point]);
        if (state.generation.length < lambda) return;
        const ranked = state.generation
          .map((member, at) => ({ member, at }))
          .sort((a, b) => scoreOf(candidates, b.member) - scoreOf(candidates, a.member) || a.at - b.at);
        const n = sizes.length;
        if (n > 0) cma.update(ranked.map(({ at }) => state.draws.slice(at * n, (at + 1) * n)));
        state.generation = [];
        state.draws = new Float64Array();
      },
    };
    await iterate(tools, trials, sampler, config);
  }
}

function scoreOf(candidates: Candidates, row: number): number {
  const { score, atMost } = candidates.at(row);
  return atMost ?? score;
}
