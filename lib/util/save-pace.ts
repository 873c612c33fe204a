/** The largest share of the time that writing takes by default. */
const SHARE = 0.05;

/**
 * Spaces out the writing of a state that grows with the work, so that writing takes at most a share of the time. With a
 * twentieth, after a write that took a second, the next one is due nineteen seconds later. A killed process loses at
 * most that much work.
 */
export class SavePace {
  readonly #share: number;
  #due = Number.NEGATIVE_INFINITY;
  #pending = false;

  /** @param share the largest share of the time that writing may take */
  constructor(share = SHARE) {
    this.#share = share;
  }

  /** Whether there is something new that was not written yet. */
  get pending(): boolean {
    return this.#pending;
  }

  /** Notes that there is something new, and writes it if a write is due. */
  async offer(write: () => Promise<void>): Promise<void> {
    this.#pending = true;
    if (performance.now() >= this.#due) await this.flush(write);
  }

  /** Writes now, if there is something new. */
  async flush(write: () => Promise<void>): Promise<void> {
    if (!this.#pending) return;
    const begun = performance.now();
    await write();
    this.#pending = false;
    const ended = performance.now();
    this.#due = ended + (ended - begun) * (1 / this.#share - 1);
  }
}
