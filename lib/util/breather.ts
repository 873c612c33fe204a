import { setImmediate as nextTurn } from "node:timers/promises";

/** Longest stretch of computing without a turn of the event loop, in milliseconds. */
const STRETCH = 4;

/** Lets timers, signals and I/O through during long computations, without the price of a turn at every step. */
export class Breather {
  #since = performance.now();

  /** Waits for the event loop's next turn if the last one is some milliseconds ago. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#since < STRETCH) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
