/** Random choices by seed, and what they do to bytes. */
import { Random } from "../../lib/util/random";

export class Dice {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** A whole number of at least 0 and below `bound`; 0 where nothing is below it. */
  below(bound: number): number {
    return bound <= 1 ? 0 : this.#random.integer(bound);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** A copy with `count` bits flipped between two positions. */
  flipped(bytes: Buffer, count: number, from = 0, to = bytes.length): Buffer {
    const copy = Buffer.from(bytes);
    if (to <= from) return copy;
    for (let i = 0; i < count; i++) {
      const at = from + this.below(to - from);
      copy[at] = (copy[at] as number) ^ (1 << this.below(8));
    }
    return copy;
  }

  /** Its beginning, of any length. */
  cut(bytes: Buffer): Buffer {
    return bytes.subarray(0, this.below(bytes.length));
  }

  /** A copy without some bytes, or with some more. */
  spliced(bytes: Buffer): Buffer {
    const at = this.below(bytes.length);
    const count = 1 + this.below(64);
    return this.below(2) === 0
      ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)])
      : Buffer.concat([bytes.subarray(0, at), Buffer.alloc(count, this.below(256)), bytes.subarray(at)]);
  }
}

/** A copy in which other bytes stand in the place of some. */
export function replaced(bytes: Buffer, at: number, length: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + length)]);
}
