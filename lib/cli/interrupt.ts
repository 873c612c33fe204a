/** Ctrl-C, as an `AbortSignal`. */
import { writeSync } from "node:fs";
import os from "node:os";

import { TorchSearchError } from "../errors";
import { isAbort } from "../util/abort";

/** The signals that ask a command to end. */
export const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** The command was stopped by a signal. */
export class Interrupted extends TorchSearchError {
  /** The exit code that shells use: 128 plus the signal's number. */
  readonly exitCode: number;
  /** The command that continues; null when nothing was saved. */
  readonly resume: string | null;

  constructor(signal: NodeJS.Signals, resume: string | null, again: string) {
    const advice =
      resume === null
        ? `Nothing was saved yet; start again with\n  ${again}`
        : `The measurements are saved; continue with\n  ${resume}`;
    super("ERR_ABORTED", `stopped by ${signal}. ${advice}`);
    this.exitCode = 128 + os.constants.signals[signal];
    this.resume = resume;
  }
}

/** The commands that {@link untilInterrupted} offers after an interruption. */
export interface Remedies {
  /** The command that continues from the saved state; null when nothing is saved. */
  resume(): string | null;
  /** The command that starts anew. */
  again: string;
}

/**
 * Runs work that a first SIGINT or SIGTERM aborts, through its `AbortSignal`. A second one ends the process at once, and
 * the advice is printed then, too.
 *
 * @throws {@link Interrupted} when it was aborted; else what `run` throws
 */
export async function untilInterrupted<T>(
  remedies: Remedies,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    if (received !== null) {
      const { exitCode, message } = new Interrupted(received, remedies.resume(), remedies.again);
      // The process ends now: nothing may be left in a buffer.
      writeSync(2, `\ntorchsearch: ${message}\n`);
      process.exit(exitCode);
    }
    received = signal;
    controller.abort(signal);
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    return await run(controller.signal);
  } catch (error) {
    if (received !== null && isAbort(error))
      throw new Interrupted(received, remedies.resume(), remedies.again);
    throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}
