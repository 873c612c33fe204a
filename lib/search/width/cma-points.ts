/** Points of CMA-ES's distribution, and the subnets that they stand for. */
import type { Bounds } from "../../contract/constraints";
import { budgetUse, type SampledSpace } from "../../space/sampling";
import type { Hyperparameter, SubnetConfig } from "../../space/types";
import type { CmaEs, CmaState } from "./cma";
import { choicesOf } from "./cma-margin";

/** Halvings of the way along the diagonal: finer than any choice. */
const HALVINGS = 20;

/** The hyperparameters with a choice, as coordinates. */
export class Grid {
  /** How many choices each has. */
  readonly sizes: number[];
  readonly #all: readonly Hyperparameter[];
  readonly varied: readonly Hyperparameter[];

  constructor(hyperparameters: readonly Hyperparameter[]) {
    this.#all = hyperparameters;
    this.varied = hyperparameters.filter(({ choices }) => choices.length > 1);
    this.sizes = this.varied.map(({ choices }) => choices.length);
  }

  /** The subnet of some choices. */
  configOf(at: readonly number[]): SubnetConfig {
    const chosen = new Map(this.varied.map(({ name, choices }, i) => [name, choices[at[i] as number]]));
    return Object.fromEntries(
      this.#all.map(({ name, choices }) => [name, chosen.get(name) ?? (choices.at(-1) as number)]),
    );
  }

  /** The choices of a subnet. */
  choicesOf(config: SubnetConfig): number[] {
    return this.varied.map(({ name, choices }) => choices.indexOf(config[name] as number));
  }
}

/** The draw, moved along the diagonal to where it just meets the bounds, unless it does so as it is. */
export function movedWithin(
  space: SampledSpace,
  grid: Grid,
  { state, sizes }: CmaEs,
  draw: Float64Array,
  bounds: Bounds,
  minUse: number,
): Float64Array {
  const moved = (by: number): Float64Array =>
    draw.map((x, i) => (grid.varied[i]?.kind === "custom" ? x : x + by / (state.scale[i] as number)));
  const useAt = (point: Float64Array): number =>
    budgetUse(space, grid.configOf(choicesOf(point, state, sizes)), bounds);
  const use = useAt(draw);
  if (Object.keys(bounds).length === 0 || (use <= 1 && use >= minUse)) return draw;
  // From where all widths are at their least to where all are at their most.
  const reach = 1 + draw.reduce((most, x, i) => Math.max(most, Math.abs(scaled(x, i, state))), 0);
  let [fits, exceeds] = use > 1 ? [-reach, 0] : [0, reach];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (fits + exceeds) / 2;
    if (useAt(moved(middle)) <= 1) fits = middle;
    else exceeds = middle;
  }
  return moved(fits);
}

/** A point that stands for the given choices: the same coordinate where it did already, else the choice's own. */
export function pointOf(
  choices: readonly number[],
  draw: Float64Array,
  state: CmaState,
  sizes: readonly number[],
): Float64Array {
  const drawn = choicesOf(draw, state, sizes);
  return draw.map((x, i) => {
    if (drawn[i] === choices[i]) return x;
    const [mean, scale, size] = [state.mean[i], state.scale[i], sizes[i]] as [number, number, number];
    return mean + ((choices[i] as number) / (size - 1) - mean) / scale;
  });
}

function scaled(x: number, i: number, { mean, scale }: CmaState): number {
  return (mean[i] as number) + (scale[i] as number) * (x - (mean[i] as number));
}
