import type { NativeTensor } from "./tensor";

/** What becomes of a parameter or buffer in the active subnet. */
export interface NativeRecipeTensor {
  name: string;
  /** Of the whole one. */
  shape: number[];
  /** Whether it goes with its block. */
  leftOut: boolean;
  /** Whether what is kept has other values than the model's. */
  ownValues: boolean;
  /** These, unless they are more than 65,536. */
  values: NativeTensor | null;
  /** The dimensions that aren't as they were, and which of the recipe's `indices` they keep. */
  kept: { dimension: number; indices: number }[];
}

/** A size that an operator is given as a number, and that is smaller in the subnet. */
export interface NativeRecipeNumber {
  /** Path of the module. */
  module: string;
  operator: string;
  argument: string;
  whole: number;
  narrow: number;
  /** Where the operator stands in the model's source; may be empty. */
  place: string;
}

/** How the active subnet comes of the model that was converted, and what it gives for some inputs. */
export interface NativeRecipe {
  indices: Int32Array[];
  tensors: NativeRecipeTensor[];
  numbers: NativeRecipeNumber[];
  blocks: { name: string; module: string }[];
  args: unknown[];
  kwargs: Record<string, unknown>;
  /** Whether floating-point inputs of more than 4,096 elements are made by the pattern. */
  patterned: boolean;
  outputShapes: number[][];
  /** Evenly spaced elements of each output tensor, at most 4,096, as float64. */
  outputs: NativeTensor[];
}
