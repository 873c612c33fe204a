/** Progress events as rates, time left, and a line for people. */
import { expected, isRecord } from "../../util/check";
import type { ProgressEvent } from "../../util/progress";
import type { SpaceProgress } from "./space-searcher";

/** Events that the rate is taken over. */
const WINDOW = 40;

/** What one event shows of a search. */
export interface ProgressView {
  /** What the search is doing, such as `sensitivity`. */
  phase: string;
  /** Candidates done in this phase. */
  done: number;
  /** Candidates of this phase; null when not known. */
  total: number | null;
  /** The best score so far; null until there is one. */
  best: number | null;
  /** The share of each bound that the best subnet takes, by metric. */
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
  calibrate: "calibrating",
  sparsify: "layers",
  sensitivity: "sensitivity",
  search: "candidates",
  solve: "integer program",
  train: "training",
  recalibrate: "averaging statistics",
};

/** Phases of batches within a step, and phases that take no time. */
const PASSED_OVER: ReadonlySet<string> = new Set(["forward", "score", "checkpoint"]);

/**
 * Makes of a search's progress events what `torchsearch` shows on its live line: hand each event to {@link view}, and
 * what it gives to {@link formatView}, or to a display of your own.
 */
export class ProgressTracker {
  #phase = "";
  #times: { done: number; at: number }[] = [];

  /** @param now milliseconds; @returns null for an event that changes nothing on the line */
  view({ phase, done, total, details }: ProgressEvent, now: number): ProgressView | null {
    if (PASSED_OVER.has(phase)) return null;
    // A phase that is not in the table is shown by its name.
    const title = PHASES[phase] ?? phase;
    if (phase !== this.#phase) this.#times = [];
    this.#phase = phase;
    this.#times.push({ done, at: now });
    if (this.#times.length > WINDOW) this.#times.shift();
    const first = this.#times[0] as { done: number; at: number };
    const rate = now > first.at && done > first.done ? (1000 * (done - first.done)) / (now - first.at) : null;
    const { best, bestCosts, bounds } = (details ?? {}) as Partial<SpaceProgress>;
    return {
      phase: title,
      done,
      total,
      best: best ?? null,
      budgets: Object.fromEntries(
        Object.entries(bounds ?? {}).flatMap(([metric, bound]) => {
          const cost = (bestCosts as Record<string, number> | null | undefined)?.[metric];
          return cost === undefined ? [] : [[metric, cost / bound]];
        }),
      ),
      rate,
      left: rate === null || total === null ? null : (total - done) / rate,
    };
  }
}

const SEPARATOR = " · ";

/**
 * A view as a line of at most `width` characters; `bar` stands after the phase. Where there is no room for everything,
 * the bar goes first, then the rate, then the costs, then the best score.
 *
 * @throws `ERR_ARGUMENT`
 */
export function formatView(view: ProgressView, width: number, bar = ""): string {
  requireView(view);
  if (typeof width !== "number" || !(width >= 0))
    throw expected("ERR_ARGUMENT", "a number of characters", "width", width);
  if (typeof bar !== "string") throw expected("ERR_ARGUMENT", "a string", "bar", bar);
  const { phase, done, total, best, budgets, rate, left } = view;
  const count = total === null ? String(done) : `${done}/${total}`;
  const shares = Object.entries(budgets).map(([metric, share]) => `${metric} ${(100 * share).toFixed(1)} %`);
  const texts = {
    best: best === null ? "" : `best ${best.toPrecision(4)}`,
    budget: shares.length === 0 ? "" : `of budget: ${shares.join(", ")}`,
    rate: rate === null ? "" : `${rate >= 10 ? rate.toFixed(0) : rate.toPrecision(2)}/s`,
    left: left === null ? "" : `${formatDuration(left)} left`,
  };
  const line = (head: string, without: readonly string[]): string =>
    [
      head,
      ...Object.entries(texts).flatMap(([name, text]) =>
        text === "" || without.includes(name) ? [] : [text],
      ),
    ].join(SEPARATOR);
  const plain = `${phase} ${count}`;
  const lines = [
    line(bar === "" ? plain : `${phase} ${bar} ${count}`, []),
    line(plain, []),
    line(plain, ["rate"]),
    line(plain, ["rate", "budget"]),
    line(plain, ["rate", "budget", "best"]),
  ];
  return lines.find(({ length }) => length <= width) ?? plain.slice(0, width);
}

function requireView(view: unknown): void {
  const { phase, done, total, best, budgets, rate, left } = (
    isRecord(view) ? view : {}
  ) as Partial<ProgressView>;
  const isNumber = (value: unknown): boolean => typeof value === "number";
  const sound =
    typeof phase === "string" &&
    isNumber(done) &&
    [total, best, rate, left].every((value) => value === null || isNumber(value)) &&
    isRecord(budgets) &&
    Object.values(budgets).every(isNumber);
  if (!sound) throw expected("ERR_ARGUMENT", "what ProgressTracker.view gives", "view", view);
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
