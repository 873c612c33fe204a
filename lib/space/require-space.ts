import { TorchSearchError } from "../errors";
import { describe } from "../util/check";

/**
 * Checks that what a searcher was given to search is the kind of space that it searches.
 *
 * @param mode a mode that makes such spaces
 * @throws `ERR_ARGUMENT`
 */
export function requireSpace<Space>(
  model: unknown,
  type: { readonly name: string; readonly prototype: Space; [Symbol.hasInstance](value: unknown): boolean },
  mode: string,
): asserts model is Space {
  if (model instanceof type) return;
  throw new TorchSearchError(
    "ERR_ARGUMENT",
    `expected a ${type.name} for model but received ${describe(model)}; make one with convert(module, "${mode}", dummyInput)`,
  );
}
