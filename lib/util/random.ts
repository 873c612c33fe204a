import { TorchSearchError } from "../errors";
import { describe, expected } from "./check";

/** The state of a {@link Random}: four unsigned 32-bit words, not all zero. JSON-safe, so it fits in a checkpoint. */
export type RandomState = readonly [number, number, number, number];

const TWO_POW_32 = 0x1_0000_0000;

/**
 * A seeded random generator whose state can be saved and restored, so that a resumed search draws the same numbers as
 * an uninterrupted one. The same seed gives the same numbers on every platform and version of Node.
 *
 * The algorithm is xoshiro128** 1.1 by Blackman and Vigna (https://prng.di.unimi.it/xoshiro128starstar.c), its state
 * filled from the seed by SplitMix32. It is not fit for cryptography.
 *
 * @example
 * ```ts
 * const random = new Random(7);
 * const config = space.sample(random);
 * console.log(config, random.chance(0.5));
 * const later = Random.fromState(random.state); // goes on where the other one stands
 * ```
 */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  /** @param seed any finite whole number; only its value modulo 2^53 matters. */
  constructor(seed = 0) {
    if (!Number.isSafeInteger(seed)) {
      throw new TorchSearchError(
        "ERR_SEED",
        `expected a whole number for seed but received ${describe(seed)}`,
      );
    }
    const low = seed >>> 0;
    const high = Math.floor(seed / TWO_POW_32) >>> 0;
    const next = splitMix32(low ^ Math.imul(high, 0x85ebca6b));
    this.state = [next(), next(), next(), next()];
  }

  /** A generator that continues from a saved state. */
  static fromState(state: RandomState): Random {
    const random = new Random();
    random.state = state;
    return random;
  }

  /** Four unsigned 32-bit numbers; set them to continue from there. */
  get state(): RandomState {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  set state(state: RandomState) {
    const valid =
      Array.isArray(state) &&
      state.length === 4 &&
      state.every((word) => Number.isInteger(word) && word >= 0 && word < TWO_POW_32) &&
      state.some((word) => word !== 0);
    if (!valid) {
      throw new TorchSearchError(
        "ERR_SEED",
        "expected four unsigned 32-bit numbers, not all zero, for the random state",
      );
    }
    [this.#a, this.#b, this.#c, this.#d] = state;
  }

  /** The next 32 random bits as an unsigned integer. */
  uint32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b = (this.#b ^ this.#c) >>> 0;
    this.#a = (this.#a ^ this.#d) >>> 0;
    this.#c = (this.#c ^ t) >>> 0;
    this.#d = rotate(this.#d, 11) >>> 0;
    return result;
  }

  /** Uniform in [0, 1), with 53 random bits. */
  float(): number {
    return ((this.uint32() >>> 5) * 0x4000000 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** A uniform whole number from `0` to `bound - 1`, without modulo bias. `bound` is 1 to 2^32. */
  integer(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > TWO_POW_32) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected a whole number from 1 to 2^32 for bound but received ${describe(bound)}`,
      );
    }
    const limit = TWO_POW_32 - (TWO_POW_32 % bound);
    for (;;) {
      const draw = this.uint32();
      if (draw < limit) return draw % bound;
    }
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    if (typeof p !== "number") throw expected("ERR_ARGUMENT", "a number", "p", p);
    return this.float() < p;
  }

  /** One of the items, all with the same probability. */
  choice<T>(items: readonly T[]): T {
    if (!Array.isArray(items)) throw expected("ERR_ARGUMENT", "an array", "items", items);
    if (items.length === 0) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        "expected at least one item to choose from but received an empty array",
      );
    }
    return items[this.integer(items.length)] as T;
  }

  /** Normally distributed with mean 0 and variance 1 (Box and Muller's method, with two floats per draw). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.float())) * Math.cos(2 * Math.PI * this.float());
  }

  /** Shuffles the array in place (Fisher and Yates) and returns it. */
  shuffle<T extends unknown[] | Uint32Array>(items: T): T {
    if (!Array.isArray(items) && !(items instanceof Uint32Array))
      throw expected("ERR_ARGUMENT", "an array", "items", items);
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const held = items[i];
      items[i] = items[j] as never;
      items[j] = held as never;
    }
    return items;
  }

  /** `0 … length - 1` in random order. */
  permutation(length: number): Uint32Array {
    if (!Number.isInteger(length) || length < 0 || length >= TWO_POW_32)
      throw expected("ERR_ARGUMENT", "a whole number from 0 to 2^32 - 1", "length", length);
    return this.shuffle(Uint32Array.from({ length }, (_, i) => i));
  }
}

function rotate(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

/** SplitMix32: the MurmurHash3 finalizer over a Weyl sequence. */
function splitMix32(seed: number): () => number {
  let counter = seed | 0;
  return () => {
    counter = (counter + 0x9e3779b9) | 0;
    let z = counter;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
}
