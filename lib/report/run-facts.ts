/** What a checkpoint tells of the run itself: how far it is, when and on which data it ran, what was measured of files. */
import path from "node:path";

import type { Checkpoint } from "../contract/checkpoint";
import { isRecord } from "../util/check";

/** A measurement of the full model and of the best subnet. */
export interface ReportChange {
  /** Of the full model. */
  before: number;
  /** Of the best subnet. */
  after: number;
}

/** How far a search is. */
export interface ReportProgress {
  /** So many of `total`. */
  done: number;
  /** Null where the searcher doesn't know it. */
  total: number | null;
  /** What is counted, such as `candidates`. */
  what: string;
}

/** Facts of a run; null where the checkpoint does not have them. */
export interface RunFacts {
  /** False where the search was interrupted, or is under way. */
  finished: boolean;
  /** How far the run is that the state is of; null where its state doesn't tell. */
  progress: ReportProgress | null;
  /** When the checkpoint was written: ISO 8601, in UTC. */
  date: string | null;
  /** Digests of the data's content, by path relative to the checkpoint. */
  dataDigests: { file: string; digest: string }[];
  /** Bytes of the model files, and median milliseconds of a forward pass on the machine of the search. */
  measured: { fileBytes: ReportChange; latency: ReportChange } | null;
  /** Whether costs are those of a runtime that uses a format, and not of the file. */
  simulated: boolean;
  /** Standard errors of the differences of score and accuracy. */
  noise: { score: number | null; accuracy: number | null };
  /** Arguments of the command that trains the result, where a rating fell by more than its noise. */
  next: string[] | null;
  /** The training of the result by the search itself. */
  finetuned: { output: string; epochs: number } | null;
  /** Bounds that the result stays far below, and why. */
  undershot: { metric: string; share: number; why: string }[];
  /** A bound on latency in milliseconds, what the table said of the result, and what was measured; null for none. */
  latency: { bound: number; predicted: number; measured: number; met: boolean } | null;
}

/** Reads the facts of a run. @param source the checkpoint's file */
export function runFactsOf({ state, settings }: Checkpoint, source: string): RunFacts {
  const notes = record(settings.annotations);
  const noise = record(notes.noise);
  const progress = progressOf(state, record(settings.config));
  const byCommand = isRecord(notes.request);
  const reached = progress === null || progress.total === null || progress.done >= progress.total;
  return {
    finished: byCommand ? isRecord(notes.after) : reached,
    progress,
    date: typeof notes.date === "string" ? notes.date : null,
    dataDigests: (Array.isArray(notes.data) ? notes.data : []).flatMap((each: unknown) => {
      const { file, digest } = record(each);
      return typeof file === "string" && typeof digest === "string"
        ? [{ file: relativePath(file, source), digest }]
        : [];
    }),
    measured: isRecord(notes.measured) ? (notes.measured as unknown as RunFacts["measured"]) : null,
    simulated: notes.simulated === true,
    noise: { score: numberOf(noise.score), accuracy: numberOf(noise.accuracy) },
    next: Array.isArray(notes.next) ? (notes.next as string[]) : null,
    finetuned: isRecord(notes.finetuned) ? (notes.finetuned as unknown as RunFacts["finetuned"]) : null,
    undershot: Array.isArray(notes.undershot) ? (notes.undershot as RunFacts["undershot"]) : [],
    latency: latencyOf(record(notes.latency)),
  };
}

function latencyOf({ bound, predicted, measured, met }: Record<string, unknown>): RunFacts["latency"] {
  const [may, said, is] = [bound, predicted, measured].map(numberOf);
  if (may == null || said == null || is == null) return null;
  return { bound: may, predicted: said, measured: is, met: met === true };
}

/** How far a searcher is: by candidates, by single widths, or by layers. */
function progressOf(state: Checkpoint["state"], config: Record<string, unknown>): ReportProgress | null {
  const iteration = numberOf(state.iteration);
  if (iteration !== null) return { done: iteration, total: numberOf(config.numIters), what: "candidates" };
  const curves = Object.values(record(state.sensitivity)).map((curve) => record(curve).scores);
  const scores = curves.flatMap((each) => (Array.isArray(each) ? (each.slice(0, -1) as unknown[]) : []));
  return scores.length === 0
    ? null
    : {
        done: scores.filter((score) => numberOf(score) !== null).length,
        total: scores.length,
        what: "single widths",
      };
}

/** A path as seen from a file's folder, so that both can be moved together. */
export function relativePath(file: string, from: string): string {
  return path.relative(path.dirname(path.resolve(from)), file) || ".";
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
