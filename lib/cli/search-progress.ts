/** The one live line of a search: phase, candidates done, best score, cost against budget, rate and time left. */
import { Format, SingleBar } from "cli-progress";

import type { SpaceProgress } from "../search/space-searcher";
import type { ProgressEvent } from "../searcher/types";

/** Events that the rate is taken over. */
const WINDOW = 40;

/** What one event says of a search. */
export interface ProgressView {
  phase: string;
  done: number;
  total: number | null;
  best: number | null;
  /** Share of each budget that the best subnet takes, by metric. */
  budgets: Record<string, number>;
  /** Steps a second; null before two were seen. */
  rate: number | null;
  /** Seconds left of this phase; null when not known. */
  left: number | null;
}

const PHASES: Readonly<Record<string, string>> = {
  convert: "converting",
  importance: "ranking channels",
  latency: "measuring latencies",
  baseline: "scoring the full model",
  sensitivity: "sensitivity",
  search: "candidates",
  solve: "integer program",
};

/** Makes views of events. Batches of recalibration and scoring within a step are passed over. */
export class ProgressTracker {
  #phase = "";
  #times: { done: number; at: number }[] = [];

  /** @param now milliseconds; @returns null for an event that changes nothing people look at */
  view({ phase, done, total, details }: ProgressEvent, now: number): ProgressView | null {
    const title = PHASES[phase];
    if (title === undefined) return null;
    if (phase !== this.#phase) this.#times = [];
    this.#phase = phase;
    this.#times.push({ done, at: now });
    if (this.#times.length > WINDOW) this.#times.shift();
    const first = this.#times[0] as { done: number; at: number };
    const rate = now > first.at && done > first.done ? (1000 * (done - first.done)) / (now - first.at) : null;
    const { best, bestCosts, limits } = (details ?? {}) as Partial<SpaceProgress>;
    return {
      phase: title,
      done,
      total,
      best: best ?? null,
      budgets: Object.fromEntries(
        Object.entries(limits ?? {}).flatMap(([metric, limit]) => {
          const cost = (bestCosts as Record<string, number> | null | undefined)?.[metric];
          return cost === undefined ? [] : [[metric, cost / limit]];
        }),
      ),
      rate,
      left: rate === null || total === null ? null : (total - done) / rate,
    };
  }
}

/** A view as a line of at most `width` characters; `bar` stands after the phase. */
export function formatView(view: ProgressView, width: number, bar = ""): string {
  const count = view.total === null ? String(view.done) : `${view.done}/${view.total}`;
  const parts = [`${view.phase} ${bar === "" ? "" : `${bar} `}${count}`];
  if (view.best !== null) parts.push(`best ${view.best.toPrecision(4)}`);
  for (const [metric, share] of Object.entries(view.budgets))
    parts.push(`${metric} ${(100 * share).toFixed(1)} % of budget`);
  if (view.rate !== null)
    parts.push(`${view.rate >= 10 ? view.rate.toFixed(0) : view.rate.toPrecision(2)}/s`);
  if (view.left !== null) parts.push(`${formatDuration(view.left)} left`);
  let line = parts[0] as string;
  for (const part of parts.slice(1)) {
    if (line.length + 3 + part.length > width) break;
    line += ` · ${part}`;
  }
  return line.slice(0, width);
}

/** Seconds as `0:07`, `12:40` or `1:02:03`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/** A live line on a terminal. */
export interface LiveLine {
  onProgress(event: ProgressEvent): void;
  /** Takes the line away, so that something else can be printed. */
  stop(): void;
}

/** Starts the line on standard error; where that is no terminal, nothing is ever drawn. */
export function startLiveLine(): LiveLine {
  const stream = process.stderr;
  if (!stream.isTTY) return { onProgress: () => {}, stop: () => {} };
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
    const width = (stream.columns ?? 80) - 1;
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
