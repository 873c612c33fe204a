/** The steps of a search that subclasses write: after an abort they are waited for, but not for ever. */
import { TorchSearchError } from "../errors";
import { orAbandoned, throwIfAborted } from "../util/abort";

/** How long a step may take to end by itself after an abort: it may save what was done so far. */
const PATIENCE_MS = 2000;

/** Runs the steps of one searcher. One that ignores the signal and does not end is left to itself. */
export class UserSteps {
  readonly #signal: () => AbortSignal | null;
  #left = 0;

  /** @param signal gives the signal of the search */
  constructor(signal: () => AbortSignal | null) {
    this.#signal = signal;
  }

  /** Runs one step. @throws `ERR_ABORTED`, also for a step that has not ended a moment after the abort */
  async run(step: () => void | Promise<void>): Promise<void> {
    const signal = this.#signal();
    throwIfAborted(signal);
    let ended = false;
    const running = (async () => step())().finally(() => {
      ended = true;
    });
    try {
      await orAbandoned(running, signal, PATIENCE_MS);
    } catch (error) {
      if (!ended) this.#leave(running);
      throw error;
    }
  }

  #leave(running: Promise<void>): void {
    const end = (): void => {
      this.#left -= 1;
    };
    this.#left += 1;
    running.then(end, end);
  }

  /** Refuses what a step that was left would get in the way of. @throws `ERR_BUSY` */
  requireEnded(): void {
    if (this.#left === 0) return;
    throw new TorchSearchError(
      "ERR_BUSY",
      "An aborted search of this searcher has not ended yet: its step ignores config.signal. Make another searcher.",
    );
  }
}
