import { setImmediate as nextTurn } from "node:timers/promises";

/** The longest time to compute without a turn of the event loop, in milliseconds. */
const STRETCH = 4;

/** Lets timers, signals and I/O run during long computations, without the cost of a turn of the event loop per step. */
export class Breather {
  #since = performance.now();

  /** Waits for the event loop's next turn if the last one was some milliseconds ago. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#since < STRETCH) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
