/** What to try next, from what was tried: a schedule of steps to a target, or a bisection over budgets. */
import type { Bounds, Costs } from "../contract/constraints";
import type { Interval } from "./interval";

/** What became of a step. */
export type StepEnd =
  /** It lost no more than it may: the next step begins with it. */
  | "good"
  /** It lost more. */
  | "worse"
  /** Training met numbers that are not finite. */
  | "failed"
  /** Its file takes longer than the bound on latency allows. */
  | "slow";

/** A step that was done. */
export interface StepRecord {
  /** Counted from 1. */
  step: number;
  /** The step whose result it began with; 0 for the full model. */
  from: number;
  /** How far it is to the target, from 0 to 1; or the share of the cost that was tried. */
  at: number;
  /** Upper bounds, in each metric's unit. */
  bounds: Record<string, number>;
  /** How it ended. */
  end: StepEnd;
  /** A sentence, where it isn't good. */
  reason: string | null;
  /** Its model; null where training failed. */
  file: string | null;
  /** The model's fingerprint; null where training failed. */
  fingerprint: string | null;
  /** In each metric's unit. */
  costs: Record<string, number>;
  /** The rating before training. */
  untrained: number;
  /** The largest learning rate of its training. */
  learningRate: number;
  /** The rating after training; null where it failed. */
  rating: number | null;
  /** How far the rating is below the full model's; null where training failed. */
  drop: number | null;
  /** Holds the drop on all data with 95 % probability; null for one batch. */
  interval: Interval | null;
  /** Milliseconds, where there is a bound on latency: by the table, and measured in turns with the full model. */
  latency: { predicted: number; measured: number; full: number } | null;
  /** That it took. */
  seconds: number;
}

/** A step to do. */
export interface PlannedStep {
  from: number;
  at: number;
  bounds: Record<string, number>;
  /** Whether it is the last one of a schedule. */
  last: boolean;
}

/** What a plan follows from. */
export interface PlanInput {
  fullCosts: Costs;
  smallestCosts: Costs;
  /** Bounds of the target; null where the smallest cost is looked for. */
  target: Bounds | null;
  /** The cost that is made small where there is no target. */
  metric: string;
  steps: number;
}

/** Budgets nearer than this to each other are the same. */
const NEAR = 1.08;
/** A budget that is tried is at least this share of the smallest good one, so that training can follow. */
const LEAST_STEP = 0.5;
/** How often a step is halved, or a bound on latency mended, before it is given up. */
const MOST_RETRIES = 3;

/** The next step; null when there is none. It depends on the records alone, so that a resumed run goes the same way. */
export function nextStep(input: PlanInput, records: readonly StepRecord[]): PlannedStep | null {
  return input.target === null ? nextBudget(input, records) : nextOfSchedule(input, input.target, records);
}

/** The last good step, or the smallest one; undefined without any. */
export function bestOf(
  { target, metric }: PlanInput,
  records: readonly StepRecord[],
): StepRecord | undefined {
  const good = records.filter(({ end }) => end === "good");
  if (target !== null) return good.at(-1);
  const costOf = ({ costs }: StepRecord): number => costs[metric] as number;
  return good.reduce<StepRecord | undefined>(
    (best, each) => (best === undefined || costOf(each) < costOf(best) ? each : best),
    undefined,
  );
}

/** How much slower files were than the table said, by the last measurement. */
export function latencyCorrection(records: readonly StepRecord[]): number {
  const last = records.findLast(({ latency }) => latency !== null)?.latency;
  return last == null ? 1 : last.measured / last.predicted;
}

function nextOfSchedule(
  { fullCosts, steps }: PlanInput,
  target: Bounds,
  records: readonly StepRecord[],
): PlannedStep | null {
  let reached = 0;
  let from = 0;
  let stride = 1 / steps;
  let retries = 0;
  for (const { step, at, end } of records) {
    if (end === "good") {
      [reached, from, retries] = [at, step, 0];
      continue;
    }
    retries += 1;
    if (end !== "slow") stride /= 2; // a slow one is tried again, with the mended latency
  }
  if (reached > 1 - 1e-9 || retries >= MOST_RETRIES) return null;
  const wanted = reached + stride;
  const at = wanted > 1 - 1e-9 ? 1 : wanted;
  const bounds = Object.fromEntries(
    Object.entries(target).map(([metric, bound]) => {
      const full = fullCosts[metric] as number;
      // A bound that the full model meets holds from the beginning.
      return [metric, bound >= full ? bound : full * (bound / full) ** at];
    }),
  );
  return { from, at, bounds, last: at === 1 };
}

function nextBudget(input: PlanInput, records: readonly StepRecord[]): PlannedStep | null {
  const { fullCosts, smallestCosts, metric, steps } = input;
  if (records.length >= steps) return null;
  const full = fullCosts[metric] as number;
  const best = bestOf(input, records);
  const high = best === undefined ? 1 : (best.costs[metric] as number) / full;
  const tooSmall = records.filter(({ end, at }) => end !== "good" && at < high).map(({ at }) => at);
  const low = Math.max((smallestCosts[metric] as number) / full, ...tooSmall);
  if (high / low < NEAR) return null;
  const at = Math.max(Math.sqrt(low * high), LEAST_STEP * high);
  return { from: best?.step ?? 0, at, bounds: { [metric]: at * full }, last: false };
}
