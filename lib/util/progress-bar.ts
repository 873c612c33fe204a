/** The progress bar on standard error. */
import { Presets, SingleBar } from "cli-progress";

import { canDrawLive } from "./terminal";

/** A bar in progress. */
export interface ProgressBar {
  /** @param done steps done so far */
  update(done: number): void;
  stop(): void;
}

const NONE: ProgressBar = { update: () => {}, stop: () => {} };

/** Starts a bar. Nothing is drawn when standard error is not a terminal. `total` is null when unknown. */
export function startProgressBar(message: string, total: number | null): ProgressBar {
  if (!canDrawLive()) return NONE;
  const format =
    total === null
      ? "{message} {value} batches, {duration_formatted}"
      : "{message} {bar} {value}/{total}, {eta_formatted} left";
  const bar = new SingleBar(
    { format, stream: process.stderr, hideCursor: true, etaBuffer: 50, clearOnComplete: false },
    Presets.shades_classic,
  );
  bar.start(total ?? 0, 0, { message });
  return {
    update: (done) => bar.update(done),
    stop: () => bar.stop(),
  };
}
