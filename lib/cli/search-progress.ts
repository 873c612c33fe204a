/** The live line of a search: phase, candidates done, best score, costs, rate and time left. */
import { Format, SingleBar } from "cli-progress";

import { formatView, ProgressTracker, type ProgressView } from "../search/width/progress";
import type { ProgressEvent } from "../util/progress";
import { canDrawLive } from "../util/terminal";

export { formatDuration } from "../search/width/progress";

/** A live line on a terminal. */
export interface LiveLine {
  onProgress(event: ProgressEvent): void;
  /** Removes the line, so that something else can be printed. */
  stop(): void;
}

/** Starts the line on standard error; draws nothing where that isn't a terminal. */
export function startLiveLine(): LiveLine {
  const stream = process.stderr;
  if (!canDrawLive(stream)) return { onProgress: () => {}, stop: () => {} };
  const tracker = new ProgressTracker();
  let bar: SingleBar | null = null;
  let phase = "";
  let latest: ProgressView | null = null;
  const stop = (): void => {
    bar?.stop();
    bar = null;
  };
  const draw: NonNullable<ConstructorParameters<typeof SingleBar>[0]["format"]> = (options, params) => {
    if (latest === null) return "";
    // Some terminals report 0 columns.
    const width = (stream.columns || 80) - 1;
    return formatView(latest, width, latest.total === null ? "" : Format.BarFormat(params.progress, options));
  };
  return {
    onProgress: (event) => {
      const view = tracker.view(event, performance.now());
      if (view === null) return;
      latest = view;
      if (bar === null || view.phase !== phase) {
        stop();
        phase = view.phase;
        bar = new SingleBar({
          format: draw,
          stream,
          hideCursor: true,
          clearOnComplete: true,
          barsize: 20,
          barCompleteChar: "█",
          barIncompleteChar: "░",
        });
        bar.start(Math.max(view.total ?? view.done, 1), view.done);
      }
      bar.setTotal(Math.max(view.total ?? view.done, 1));
      bar.update(view.done);
    },
    stop,
  };
}
