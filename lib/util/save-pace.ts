/** The share of the time that writing may take. */
const SHARE = 0.05;

/**
 * Spaces out the writing of a state that grows as the work goes on, so that it takes at most a twentieth of the time however
 * large the state becomes: after a write that took a second, the next one is due nineteen seconds later. What is lost when a
 * process is killed is that much work at most.
 */
export class SavePace {
  #due = Number.NEGATIVE_INFINITY;
  #pending = false;

  /** Whether something is known that was not written yet. */
  get pending(): boolean {
    return this.#pending;
  }

  /** Says that there is something new, and writes it if that is due. */
  async offer(write: () => Promise<void>): Promise<void> {
    this.#pending = true;
    if (performance.now() >= this.#due) await this.flush(write);
  }

  /** Writes what is not written yet. */
  async flush(write: () => Promise<void>): Promise<void> {
    if (!this.#pending) return;
    const begun = performance.now();
    await write();
    this.#pending = false;
    const ended = performance.now();
    this.#due = ended + (ended - begun) * (1 / SHARE - 1);
  }
}
