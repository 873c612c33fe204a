import type { Module } from "../model/module";
import { expected } from "../util/check";
import type { SearchSpace } from "./search-space";
import type { SpaceCosts } from "./types";

/** A dimension of a parameter; or a residual block that can't be left out. */
export interface ParameterDimension {
  /** The parameter's path, or the block's. */
  parameter: string;
  /** Counted from 0; -1 for a block. */
  dimension: number;
  /** Its length; 0 for a block. */
  size: number;
}

/** Dimensions that stay whole for the same reason. */
export interface WholeDimensions {
  /** A sentence. */
  reason: string;
  /** Those that it holds for. */
  dimensions: ParameterDimension[];
  /** Elements of the parameters that these dimensions belong to. */
  params: number;
  /** Elements of the parameters among them that have no other dimension to narrow: all of them stay. */
  lostParams: number;
}

/** The parts of a model that can be narrowed, and the parts that can't; made by {@link prunability}. */
export interface Prunability {
  /** The full model's costs, on inputs of the dummy input's shape. */
  full: SpaceCosts;
  /** The smallest subnet's costs. */
  smallest: SpaceCosts;
  /** Elements of the parameters of which a dimension can be narrowed. */
  narrowableParams: number;
  /** Dimensions that stay whole by their reason; the reason that costs the most parameters comes first. */
  whole: WholeDimensions[];
}

// The other dimensions of a convolution's weight are the kernel's.
const CHANNEL_DIMENSIONS = 2;

/**
 * Sums up a search space: how small the model can get, and why not smaller. Only a parameter's first two dimensions
 * count, since the others are a kernel's.
 *
 * @param module the module that `space` was made of
 * @throws `ERR_CLOSED`
 *
 * @example
 * ```ts
 * const { full, smallest, whole } = prunability(module, space);
 * console.log(smallest.params / full.params);
 * for (const { reason, lostParams } of whole) console.log(lostParams, reason);
 * ```
 */
export function prunability(module: Module, space: SearchSpace): Prunability {
  if (!Array.isArray((space as Partial<SearchSpace> | null)?.unprunable))
    throw expected("ERR_ARGUMENT", "a SearchSpace", "space", space);
  if (typeof (module as Partial<Module> | null)?.namedParameters !== "function")
    throw expected("ERR_ARGUMENT", "a Module", "module", module);
  const shapes = new Map<string, readonly number[]>();
  for (const { name, tensor } of module.namedParameters()) {
    shapes.set(name, [...tensor.shape]);
    tensor.close();
  }
  const whole = new Set(space.unprunable.map(({ parameter, dimension }) => `${parameter}:${dimension}`));
  const isNarrowable = (name: string): boolean =>
    (shapes.get(name) ?? [])
      .slice(0, CHANNEL_DIMENSIONS)
      .some((size, dimension) => size > 1 && !whole.has(`${name}:${dimension}`));
  const elements = (names: Iterable<string>): number => {
    let sum = 0;
    for (const name of names) sum += shapes.get(name)?.reduce((product, size) => product * size, 1) ?? 0;
    return sum;
  };

  const byReason = new Map<string, ParameterDimension[]>();
  for (const { parameter, dimension, reason } of space.unprunable) {
    const size = shapes.get(parameter)?.[dimension] ?? 0;
    const found = byReason.get(reason);
    if (found === undefined) byReason.set(reason, [{ parameter, dimension, size }]);
    else found.push({ parameter, dimension, size });
  }
  const groups = [...byReason].map(([reason, dimensions]): WholeDimensions => {
    const names = new Set(dimensions.map(({ parameter }) => parameter));
    return {
      reason,
      dimensions,
      params: elements(names),
      lostParams: elements([...names].filter((name) => !isNarrowable(name))),
    };
  });
  return {
    full: space.costs(space.fullConfig),
    smallest: space.costs(space.smallestConfig),
    narrowableParams: elements([...shapes.keys()].filter(isNarrowable)),
    whole: groups.sort((a, b) => b.lostParams - a.lostParams || b.params - a.params),
  };
}
