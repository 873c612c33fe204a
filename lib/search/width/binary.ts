import { sameNumbers } from "../../util/same-numbers";
import {
  type SensitivitySearchConfig,
  SensitivitySearcher,
  type SensitivitySearchState,
} from "./sensitivity-searcher";

/** The config of {@link BinarySearcher}. */
export type BinarySearchConfig = SensitivitySearchConfig;

/** What {@link BinarySearcher} keeps. All of it can be said in JSON. */
export interface BinarySearchState extends SensitivitySearchState<"threshold" | "grown"> {
  /** Of step 2: degradation tolerated of each hyperparameter, or -1 when the full model meets the bounds; null until known. */
  threshold: number | null;
}

/**
 * FastNAS: finds the widths of a search space that keep the score highest within the constraints, from how sensitive
 * the score is to each width alone.
 *
 * 1. *Sensitivity.* Each hyperparameter h is narrowed to each choice c, all others full, and the subnet scored. Its
 *    degradation is d(h, c) = max over c' >= c of max(0, score(full) - score(h = c')), which never falls as c does. Of
 *    more than `maxChoices` reduced choices only so many are measured, and d interpolated between them.
 * 2. *Binary search.* For a threshold t, each hyperparameter takes its smallest choice with d(h, c) <= t. The larger t,
 *    the cheaper the subnet; bisection finds the smallest t at which every constraint holds.
 * 3. *Growing.* Since many widths share a threshold, the subnet is often smaller than it must be. As long as
 *    something fits, the hyperparameter is grown that undoes most degradation per share of the budgets spent.
 * 4. Where residual blocks may be left out, 2 and 3 are done once more with all of them kept, if the constraints can be
 *    met so: that single blocks are dispensable says little of many at once.
 * 5. The subnets of 2 to 4 are scored; the best one wins, on a tie the earlier one.
 *
 * Before a candidate is scored, its batch norms are recalibrated on the config's `dataLoader` or `forwardLoop`, when
 * there is one; so are those of the subnet that comes out. The full model keeps the statistics it came with.
 *
 * Constraints may name any of `params`, `macs`, `flops`, `size`, `memory` and `latency`. The state is saved after each hyperparameter and
 * each candidate; a resumed search skips what is measured. With other constraints it starts again at step 2, from the
 * same sensitivities. Nothing is random: the same score function gives the same subnet.
 *
 * Steps 1 and 2 follow FastNAS of NVIDIA ModelOpt (`modelopt.torch.nas`, `BinarySearcher`), whose users' guide describes
 * it as pruning by a sensitivity analysis and a binary search for one constraint; step 3 and several constraints are ours.
 *
 * @throws from `search`: `ERR_ARGUMENT` when the model is no search space; `ERR_NO_SCORE`; `ERR_UNKNOWN_CONSTRAINT`;
 *   `ERR_CONSTRAINT_UNREACHABLE` printing the smallest reachable value; what `BaseSearcher.search` throws
 *
 * @example
 * ```ts
 * const { subnet, stateDict } = await new BinarySearcher().search(space, { flops: "60%" }, dummyInput, {
 *   scoreFunc,
 *   dataLoader: data, // recalibrates batch norms
 *   maxIterDataLoader: 2,
 *   maxChoices: 1,
 * });
 * console.log(stateDict.best?.config, subnet.history);
 * ```
 */
export class BinarySearcher extends SensitivitySearcher<
  "threshold" | "grown",
  BinarySearchState,
  BinarySearchConfig
> {
  get defaultStateDict(): BinarySearchState {
    return {
      ...this.emptyState,
      threshold: null,
    };
  }

  /** Forgets what was found within bounds that have changed; what was measured stays. */
  protected override forgetBounds(): void {
    super.forgetBounds();
    this.state.threshold = null;
  }

  async runSearch(): Promise<void> {
    await this.measureSensitivity();
    const { state, model } = this;
    const { threshold, config } = this.bisect();
    state.threshold = threshold;
    const widths = model.hyperparameters.filter(({ kind }) => kind !== "depth");
    const whole = widths.length < model.hyperparameters.length ? this.bisectAmong(widths) : null;
    const starts = whole === null ? [config] : [config, whole.config];
    const total = 2 * starts.length;
    let done = 0;
    for (const first of starts) {
      const grown = await this.grow(first);
      await this.consider("threshold", first, { done: ++done, total });
      if (sameNumbers(first, grown)) done += 1;
      else await this.consider("grown", grown, { done: ++done, total });
    }
    this.reportSpace({ phase: "search", done: total, total, message: "found the subnet" }, { ...state.best });
  }
}
