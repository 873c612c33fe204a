/** Lookups by name, whose errors name the nearest one, and configs: records by name. Every space uses them. */

import { TorchSearchError } from "../errors";
import { describe, expected } from "../util/check";
import { listed } from "../util/listed";
import { suggestion } from "../util/nearest";
import { Random } from "../util/random";

/** The error for a name that doesn't exist. It lists the nearest name, and all of them. */
export function unknownName(
  code: string,
  what: string,
  name: unknown,
  known: readonly string[],
): TorchSearchError {
  return new TorchSearchError(
    code,
    typeof name === "string"
      ? `unknown ${what} ${JSON.stringify(name)}: ${suggestion(name, known)}`
      : `expected the name of a ${what} but received ${describe(name)}; use one of ${listed(known)}`,
  );
}

/** The error for a metric that a space doesn't have. */
export function unknownMetric(metric: unknown, known: readonly string[]): TorchSearchError {
  return unknownName("ERR_UNKNOWN_METRIC", "metric", metric, known);
}

/** Positions by name. */
export class NameIndex {
  readonly #code: string;
  readonly #what: string;
  readonly #positions: Map<string, number>;

  /**
   * @param code the error's code for an unknown name
   * @param what the kind of thing in messages, such as `layer`
   */
  constructor(code: string, what: string, names: readonly string[]) {
    this.#code = code;
    this.#what = what;
    this.#positions = new Map(names.map((name, at) => [name, at]));
  }

  /** The position of a name. @throws the index's error, naming the nearest name */
  at(name: string): number {
    const at = this.#positions.get(name);
    if (at !== undefined) return at;
    throw unknownName(this.#code, this.#what, name, [...this.#positions.keys()]);
  }

  /** Adds a name after the others. */
  add(name: string): void {
    this.#positions.set(name, this.#positions.size);
  }
}

/** A record with a value for each item's name. */
export function byName<Item extends { readonly name: string }, Value>(
  items: readonly Item[],
  pick: (item: Item, at: number) => Value,
): Record<string, Value> {
  return Object.fromEntries(items.map((item, at) => [item.name, pick(item, at)]));
}

/** A uniform choice for each hyperparameter. @throws `ERR_ARGUMENT` */
export function sampleChoices<Value>(
  hyperparameters: readonly { readonly name: string; readonly choices: readonly Value[] }[],
  rng: Random,
): Record<string, Value> {
  if (!(rng instanceof Random))
    throw expected("ERR_ARGUMENT", "a Random, such as new Random(0),", "rng", rng);
  return byName(hyperparameters, ({ choices }) => rng.choice(choices));
}
