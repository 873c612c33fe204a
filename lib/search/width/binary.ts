import type { Hyperparameter, SubnetConfig } from "../../space/types";
import type { ConfigRule } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { grow } from "./grow";
import { requireBisection } from "./part-arguments";
import type { Sensitivity } from "./sensitivity";
import {
  consider,
  measureSensitivity,
  type Narrowings,
  priceNarrowings,
  SENSITIVITY_DEFAULTS,
  SENSITIVITY_KEYS,
  SENSITIVITY_RULES,
  type SensitivitySearchConfig,
  type SensitivitySearchState,
  scoreAhead,
  scoreFullModel,
  sensitivityState,
} from "./sensitivity-sweep";
import { SpaceSearcher } from "./space-searcher";
import { configAtThreshold, thresholdsOf } from "./thresholds";

/** The config of {@link BinarySearcher}. */
export type BinarySearchConfig = SensitivitySearchConfig;

/** What {@link BinarySearcher} keeps. All of it can be written as JSON. */
export interface BinarySearchState extends SensitivitySearchState<"threshold" | "grown"> {
  /**
   * The degradation that step 2 tolerates of each hyperparameter, or -1 when the full model meets the bounds; null
   * until it is known.
   */
  threshold: number | null;
}

/**
 * FastNAS: finds the widths of a search space that keep the score highest within the constraints, from how sensitive
 * the score is to each width alone.
 *
 * 1. *Sensitivity.* Each hyperparameter h is narrowed to each choice c, all others full, and the subnet scored. Its
 *    degradation is d(h, c) = max over c' >= c of max(0, score(full) - score(h = c')), which never falls as c does.
 *    When there are more than `maxChoices` reduced choices, only so many are measured, and d is interpolated between
 *    them.
 * 2. *Binary search.* For a threshold t, each hyperparameter takes its smallest choice with d(h, c) <= t. The larger t,
 *    the cheaper the subnet; bisection finds the smallest t at which every constraint holds.
 * 3. *Growing.* Since many widths share a threshold, the subnet is often smaller than it must be. As long as
 *    something fits, the hyperparameter grows that undoes most degradation per share of the bounds spent.
 * 4. Where residual blocks may be left out, steps 2 and 3 are done once more with all blocks kept, if the constraints
 *    can be met so: that single blocks are dispensable says little about many at once.
 * 5. The subnets of steps 2 to 4 are scored. The best one wins; on a tie, the earlier one.
 *
 * Constraints may be any mix of the space's metrics. The state is saved after each hyperparameter and each candidate; a
 * resumed search skips what is measured. With other constraints it starts again at step 2, from the same sensitivities.
 * Nothing is random: the same score function gives the same subnet.
 *
 * Steps 1 and 2 follow FastNAS of NVIDIA ModelOpt (`modelopt.torch.nas`, `BinarySearcher`), whose users' guide
 * describes it as pruning by a sensitivity analysis and a binary search for one constraint. Step 3 and several
 * constraints are our additions.
 *
 * @throws from `search`: what {@link SpaceSearcher.beforeSearch} and `BaseSearcher.search` throw
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
export class BinarySearcher extends SpaceSearcher<BinarySearchState, BinarySearchConfig> {
  #narrowings: Narrowings = {};

  override get defaultSearchConfig(): BinarySearchConfig {
    return { ...super.defaultSearchConfig, ...SENSITIVITY_DEFAULTS };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return SENSITIVITY_RULES;
  }

  get defaultStateDict(): BinarySearchState {
    return { ...sensitivityState(), threshold: null };
  }

  protected override get lasting(): readonly (keyof BinarySearchState)[] {
    return SENSITIVITY_KEYS;
  }

  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    return { ...super.checkpointSettings, narrowings: this.#narrowings };
  }

  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    await scoreFullModel(this.tools, this.state);
  }

  async runSearch(): Promise<void> {
    const { tools, state, bounds } = this;
    const { hyperparameters, largestConfig } = this.model;
    const fits = (config: SubnetConfig): boolean => this.fits(config);
    this.#narrowings = await priceNarrowings(this.model);

    // Step 1.
    await measureSensitivity(tools, state, this.config);
    const { sensitivity } = state;

    // Step 2. The smallest subnet is known to fit.
    const found = bisect(hyperparameters, sensitivity, largestConfig, fits) as Bisection;
    state.threshold = found.threshold;

    // Step 4: the same with all residual blocks.
    const widths = hyperparameters.filter(({ kind }) => kind !== "depth");
    const hasBlocks = widths.length < hyperparameters.length;
    const whole = hasBlocks ? bisect(widths, sensitivity, largestConfig, fits) : null;
    const starts = whole === null ? [found.config] : [found.config, whole.config];

    const total = 2 * starts.length;
    let done = 0;
    const pairs: { start: SubnetConfig; grown: SubnetConfig }[] = [];
    for (const start of starts) {
      // Steps 3 and 5.
      pairs.push({ start, grown: await grow(this.model, sensitivity, start, bounds, this.config.signal) });
    }
    await scoreAhead(
      tools,
      state,
      pairs.flatMap(({ start, grown }) => [
        { step: "threshold" as const, config: start },
        { step: "grown" as const, config: grown },
      ]),
    );
    for (const { start, grown } of pairs) {
      await consider(tools, state, "threshold", start, { done: ++done, total });
      if (sameNumbers(start, grown)) done += 1;
      else await consider(tools, state, "grown", grown, { done: ++done, total });
    }
    this.reportSpace({ phase: "search", done: total, total, message: "found the subnet" }, { ...state.best });
  }
}

/** What {@link bisect} finds. */
export interface Bisection {
  /** The smallest threshold at which the subnet fits. */
  threshold: number;
  /** That subnet. */
  config: SubnetConfig;
}

/**
 * Finds by bisection the smallest threshold t at which the subnet fits that takes the smallest
 * choice with d(h, c) <= t of each hyperparameter h; null when none does.
 *
 * @param hyperparameters those that may be narrowed
 * @param largestConfig the largest subnet; hyperparameters that may not be narrowed stay as they are in it
 * @param fits whether a subnet meets the constraints: true at every threshold above one where it is
 * @throws `ERR_ARGUMENT`
 */
export function bisect(
  hyperparameters: readonly Hyperparameter[],
  sensitivity: Readonly<Record<string, Sensitivity>>,
  largestConfig: Readonly<SubnetConfig>,
  fits: (config: SubnetConfig) => boolean,
): Bisection | null {
  requireBisection(hyperparameters, sensitivity, largestConfig, fits);
  const known = Object.fromEntries(
    hyperparameters.map(({ name }) => [name, sensitivity[name] as Sensitivity]),
  );
  const at = (threshold: number): SubnetConfig => ({
    ...largestConfig,
    ...configAtThreshold(hyperparameters, known, threshold),
  });
  const thresholds = thresholdsOf(known);
  let low = 0;
  let high = thresholds.length - 1;
  if (!fits(at(thresholds[high] as number))) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(at(thresholds[middle] as number))) high = middle;
    else low = middle + 1;
  }
  const threshold = thresholds[low] as number;
  return { threshold, config: at(threshold) };
}
