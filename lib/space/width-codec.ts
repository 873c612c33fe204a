/** Between the config of a subnet, values by name, and the widths by position that the native side works with. */

import { TorchSearchError } from "../errors";
import type { NativeSearchSpace } from "../native/types/search-space";
import { expected, isRecord } from "../util/check";
import { listed } from "../util/listed";
import type { AddedHyperparameter } from "./custom-hyperparameter";
import { byName, NameIndex } from "./names";
import type { Hyperparameter, SubnetConfig } from "./types";
import type { ControlledHyperparameter } from "./width-control";

/** The hyperparameters of a space, and the two forms of their values. */
export class WidthCodec {
  readonly #native: NativeSearchSpace;
  readonly #index: NameIndex;
  #hyperparameters: readonly Hyperparameter[];
  /** 1 at each width that is a choice, by hyperparameter. */
  readonly #allowed: readonly Uint8Array[];
  /** By hyperparameter of the user's own: the positions of its values, which the native side knows them by. */
  readonly #positions: ReadonlyMap<number, number>[] = [];
  /** The native positions that each hyperparameter stands for. */
  readonly #natives: readonly (readonly number[])[];
  /** How many the native side found; those of the user's own come after them. */
  readonly #found: number;
  /** Widths on their way to the native side, which reads them before it returns: a query makes no garbage. */
  #widths: Int32Array;

  constructor(native: NativeSearchSpace, controlled: readonly ControlledHyperparameter[]) {
    this.#native = native;
    this.#natives = controlled.map(({ natives }) => natives);
    this.#found = this.#natives.flat().length;
    this.#hyperparameters = controlled.map(({ natives, choices, ...rest }) => ({
      ...rest,
      choices: Object.freeze([...choices]),
      get active(): number {
        return native.active()[natives[0] as number] as number;
      },
    }));
    const names = this.#hyperparameters.map(({ name }) => name);
    this.#index = new NameIndex("ERR_UNKNOWN_HYPERPARAMETER", "hyperparameter", names);
    this.#allowed = this.#hyperparameters.map(({ choices, full }) => {
      const allowed = new Uint8Array(full + 1);
      for (const width of choices) allowed[width] = 1;
      allowed[full] = 1; // what others are compared with, whatever may be chosen
      return allowed;
    });
    this.#widths = new Int32Array(this.#found);
  }

  /** The native ones, then those that were added. */
  get hyperparameters(): readonly Hyperparameter[] {
    return this.#hyperparameters;
  }

  /** Adds a hyperparameter of the user's own, which the native side has added already. */
  add(name: string, { choices: given, begins }: AddedHyperparameter): Hyperparameter {
    const native = this.#native;
    const at = this.#found + this.#positions.length;
    const choices = Object.freeze([...given]);
    const hyperparameter: Hyperparameter = {
      name,
      kind: "custom",
      choices,
      full: choices.at(-1) as number,
      channels: 1,
      tied: [],
      fixed: null,
      begins,
      get active(): number {
        return choices[native.active()[at] as number] as number;
      },
    };
    this.#hyperparameters = [...this.#hyperparameters, hyperparameter];
    this.#index.add(name);
    this.#positions.push(new Map(choices.map((choice, position) => [choice, position])));
    this.#widths = new Int32Array(this.#found + this.#positions.length);
    return hyperparameter;
  }

  /** The config of native widths. */
  toConfig(widths: ArrayLike<number>): SubnetConfig {
    const own = this.#allowed.length;
    return byName(this.#hyperparameters, ({ choices }, at) => {
      const width = widths[this.#placeOf(at)] as number;
      return at < own ? width : (choices[width] as number);
    });
  }

  /**
   * The native widths of a config; a hyperparameter that it leaves out has its active width.
   *
   * @returns the one array that all calls share
   * @throws `ERR_ARGUMENT`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`
   */
  toWidths(config: Readonly<SubnetConfig>): Int32Array {
    if (!isRecord(config)) {
      throw expected("ERR_ARGUMENT", "an object of widths by hyperparameter", "the subnet's config", config);
    }
    const hyperparameters = this.#hyperparameters;
    const widths = this.#widths;
    let found = 0;
    for (let at = 0; at < hyperparameters.length; at++) {
      const value: unknown = config[(hyperparameters[at] as Hyperparameter).name];
      const width = this.#nativeValue(at, value);
      if (width < 0) continue;
      this.#write(at, width);
      found += 1;
    }
    // Nearly all queries name every hyperparameter, and nothing else.
    if (found < hyperparameters.length || Object.keys(config).length !== found) this.#complete(config);
    return widths;
  }

  /** A list for each hyperparameter: the sum, place by place, of those of the native ones that it stands for. */
  summed(lists: readonly (readonly number[])[]): number[][] {
    return this.#hyperparameters.map((_, at) => {
      const places = this.#natives[at] ?? [this.#placeOf(at)];
      const [first = [], ...others] = places.map((place) => lists[place] ?? []);
      return first.map((value, k) => others.reduce((sum, list) => sum + (list[k] ?? 0), value));
    });
  }

  /** A text for each hyperparameter: those of the native ones that it stands for, in alphabetical order. */
  joined(texts: readonly string[]): string[] {
    return this.#hyperparameters.map((_, at) => {
      const places = this.#natives[at] ?? [this.#placeOf(at)];
      return places
        .map((place) => texts[place] ?? "")
        .sort()
        .join(" | ");
    });
  }

  /** The first native position of a hyperparameter. */
  #placeOf(at: number): number {
    return this.#natives[at]?.[0] ?? this.#found + at - this.#natives.length;
  }

  #write(at: number, width: number): void {
    const places = this.#natives[at];
    if (places === undefined) this.#widths[this.#placeOf(at)] = width;
    else for (const place of places) this.#widths[place] = width;
  }

  /** The native side's number for a value; -1 when the value is not one of the choices. */
  #nativeValue(at: number, value: unknown): number {
    if (typeof value !== "number") return -1;
    const allowed = this.#allowed[at];
    if (allowed !== undefined) return allowed[value] === 1 ? value : -1;
    return this.#positions[at - this.#allowed.length]?.get(value) ?? -1;
  }

  /** @throws `ERR_UNKNOWN_HYPERPARAMETER`; it says what names of an earlier version have become */
  #positionOf(name: string): number {
    const names = this.#hyperparameters.map((hyperparameter) => hyperparameter.name);
    if (!/^group\d+$/.test(name) || names.includes(name)) return this.#index.at(name);
    const widths = this.#hyperparameters.filter(({ kind }) => kind !== "depth" && kind !== "custom");
    throw new TorchSearchError(
      "ERR_UNKNOWN_HYPERPARAMETER",
      `unknown hyperparameter "${name}": earlier versions numbered widths of buffers, and of weights in a list of ` +
        `operands. They are named after these now: use one of ${listed(widths.map((width) => width.name))}`,
    );
  }

  /** For a config that leaves something out, or is wrong. */
  #complete(config: Readonly<SubnetConfig>): void {
    const widths = this.#widths;
    widths.set(this.#native.active());
    for (const [name, value] of Object.entries(config)) {
      const at = this.#positionOf(name);
      const width = this.#nativeValue(at, value);
      if (width < 0) {
        const { choices } = this.#hyperparameters[at] as Hyperparameter;
        throw expected("ERR_CHOICE", `one of ${choices.join(", ")}`, name, value);
      }
      this.#write(at, width);
    }
  }
}
