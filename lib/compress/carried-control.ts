/** A user's wishes about layers, for the models of later steps: these are narrower, and lack blocks. */
import type { ConvertConfig } from "../space/convert";
import type { SearchSpace } from "../space/search-space";

/** What the first conversion says that the user wants. */
export interface CarriedControl {
  /** Hyperparameters that stay whole. */
  whole: string[];
  /** Least widths, in numbers. */
  least: Record<string, number>;
  ties: string[][];
  /** Blocks that may be left out in all; null for any number. */
  maxLeftOut: number | null;
  blocks: string[];
  /** All hyperparameters of the full model. */
  names: string[];
}

/** Reads the wishes from the space of the full model. */
export function carriedControl(space: SearchSpace, { maxLeftOut = null }: ConvertConfig): CarriedControl {
  const { hyperparameters } = space;
  const widths = hyperparameters.filter(({ kind }) => kind !== "depth");
  return {
    whole: hyperparameters.filter(({ fixed }) => fixed !== null).map(({ name }) => name),
    least: Object.fromEntries(widths.map(({ name, choices }) => [name, choices[0] as number])),
    ties: hyperparameters.flatMap(({ name, tied }) => (tied.length > 0 ? [[name, ...tied]] : [])),
    maxLeftOut,
    names: hyperparameters.flatMap(({ name, tied }) => [name, ...tied]),
    blocks: hyperparameters
      .filter(({ kind }) => kind === "depth")
      .flatMap(({ name, tied }) => [name, ...tied]),
  };
}

/** The same wishes for a model that has these hyperparameters still. */
export function controlFor(carried: CarriedControl, names: readonly string[]): ConvertConfig {
  const present = new Set(names);
  const left = carried.blocks.filter((name) => !present.has(name)).length;
  const ties = carried.ties.map((tie) => tie.filter((name) => present.has(name)));
  const least = Object.entries(carried.least).filter(([name]) => present.has(name));
  return {
    include: null,
    // One with a new name (its first layer is gone) may be one that was to stay whole, so it does.
    exclude: names.filter((name) => carried.whole.includes(name) || !carried.names.includes(name)),
    minWidth: least.length > 0 ? Object.fromEntries(least) : null,
    maxWidth: null, // narrower already
    ties: ties.filter((tie) => tie.length > 1),
    maxLeftOut: carried.maxLeftOut === null ? null : Math.max(0, carried.maxLeftOut - left),
  };
}
