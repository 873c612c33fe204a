/** The data of a report, read from the checkpoint of a search. */
import path from "node:path";
import { type Checkpoint, readCheckpoint } from "../contract/checkpoint";
import { satisfies } from "../contract/constraints";
import { TorchSearchError } from "../errors";
import type { RunVersions } from "../native/versions";
import type { MilpReport } from "../search/solver/rounds";
import type { Sensitivity } from "../search/width/sensitivity";
import { type CandidateColumns, subnetsOf } from "../space/candidates";
import type { ScoredSubnet, SubnetConfig } from "../space/types";
import { isRecord, requirePath } from "../util/check";
import { type ReportChange, type RunFacts, relativePath, runFactsOf } from "./run-facts";

/** Costs by metric, in each metric's unit. */
export type ReportCosts = Record<string, number>;

/** A subnet that was scored, in the order of measurement. */
export interface ReportMeasurement {
  /** Higher is better. */
  score: number;
  /** Null where the checkpoint does not have them. */
  costs: ReportCosts | null;
  /** `narrowing`: one width narrowed alone, to learn how sensitive the score is to it. */
  kind: "candidate" | "narrowing";
  /** A name for people. */
  label: string;
  /** Whether it meets all constraints; false where the costs are unknown. */
  fits: boolean;
}

/** A hyperparameter before and after. */
export interface ReportWidth {
  /** The hyperparameter's name. */
  name: string;
  /** Such as `outChannels`; empty where the checkpoint does not have it. */
  kind: string;
  /** The full model's width. */
  full: number;
  /** Its width in the best subnet; null before there is one. */
  selected: number | null;
}

/** The effect of narrowing one hyperparameter alone. */
export interface ReportSensitivity extends Sensitivity {
  /** The hyperparameter's name. */
  name: string;
}

/** The number formats that layers could have; the layers of one entry share their format. */
export interface ReportFormats {
  /** The name of the hyperparameter. */
  name: string;
  /** The layers' paths. */
  layers: string[];
  /** The full model's format comes first. */
  choices: {
    format: string;
    /** Bits of a weight; null where the checkpoint does not have them. */
    bits: number | null;
    /** The harm of this format alone; null where it was not measured. */
    harm: number | null;
  }[];
  /** The chosen format; null before there is one. */
  selected: string | null;
}

/** The density of one layer, in a search for sparse weights. */
export interface ReportDensity {
  /** The layer's path. */
  name: string;
  /** Such as `linear`. */
  kind: string;
  /** Weights of the layer. */
  elements: number;
  /** The share of weights that is kept; null before the layer's turn. */
  density: number | null;
  /** The squared error of the layer's outputs, as a share of their squares; null where it was not measured. */
  error: number | null;
}

/** Cost of one operator, before and after. */
export interface ReportOperator {
  /** Path of the parameter or submodule, as in a profile. */
  name: string;
  /** Such as `aten::conv2d`. */
  op: string;
  /** Costs in the full model. */
  before: { flops: number; params: number };
  /** Zeros where the best subnet lacks the operator; null before there is a subnet. */
  after: { flops: number; params: number } | null;
}

/** A rating before and after. */
export interface ReportRating extends ReportChange {
  /** The standard error of the difference; null or missing where it isn't known. */
  noise?: number | null;
}

/** Everything that {@link renderReport} draws. */
export interface ReportData extends RunFacts {
  /** The model's file name, or "a model" where the checkpoint does not have it. */
  model: string;
  /** The checkpoint. */
  source: string;
  /** Class name of the searcher. */
  searcher: string;
  /** The score's name, such as `-cross-entropy`; higher is better. */
  scoreTitle: string;
  /** The full model. Score and accuracy are null where they were not measured. */
  full: { score: number | null; accuracy: number | null; costs: ReportCosts };
  /** The best subnet that meets the constraints; null before there is one. Its score is null where none was asked for. */
  best: { score: number | null; accuracy: number | null; costs: ReportCosts } | null;
  /** Upper bounds, in each metric's unit. */
  bounds: ReportCosts;
  /** Measurements with a score; candidates that were stopped early have none. */
  measurements: ReportMeasurement[];
  /** Candidates that were stopped before their score was known. */
  stopped: number;
  /** Ratings on samples that the search did not use; null where none were held out. */
  heldOut: { samples: number; score: ReportRating; accuracy: ReportRating | null } | null;
  /** Widths before and after, in the order of the model's execution; empty for other modes. */
  widths: ReportWidth[];
  /** Operators that have FLOPs or parameters, in order; empty where the search did not profile them. */
  operators: ReportOperator[];
  /** Number formats, for quantization; else empty. */
  formats: ReportFormats[];
  /** Densities of layers, for sparse weights; else empty. */
  densities: ReportDensity[];
  /** The sparsity pattern: `2:4`, or `unstructured`; null for other modes. */
  pattern: string | null;
  /** Sensitivities; empty for searchers that measure none. */
  sensitivity: ReportSensitivity[];
  /** The solution of the integer program; null for other searchers. */
  milp: MilpReport | null;
  /** Shapes of the input that costs refer to. */
  inputs: number[][] | null;
  /** Seconds of all runs of the search; null where the checkpoint does not have them. */
  seconds: number | null;
  /** Arguments of the command that searched; null when a program searched. */
  command: string[] | null;
  /** Folder that the command ran in, relative to the checkpoint's. */
  folder: string | null;
  /** Versions of the software that searched, its platform and its device. */
  versions: Partial<RunVersions>;
  /** Fingerprint of the searched space. */
  fingerprint: string;
  /** The searcher's settings, as text by key. */
  settings: Record<string, string>;
}

interface RecordedSpace {
  /** In spaces of sparse weights. */
  pattern?: string;
  layers?: { name: string; kind: string; elements: number }[];
  fullCosts?: ReportCosts;
  /** In spaces of number formats. */
  groups?: { name: string; layers: string[]; bits: Record<string, number> }[];
  device?: string;
  hyperparameters?: { name: string; kind: string; full: number; choices: number[] }[];
}

/**
 * Reads the data of a report from a checkpoint, finished or not, of any searcher of a `SearchSpace`.
 *
 * @throws `ERR_CHECKPOINT_READ` also when there is no such file, `ERR_CHECKPOINT_CORRUPT`, `ERR_CHECKPOINT_VERSION`;
 *   `ERR_REPORT_STATE` when the checkpoint is another kind of searcher's, or nothing was measured yet
 */
export async function readReportData(stateFile: string): Promise<ReportData> {
  requirePath(stateFile, "readReportData");
  const checkpoint = await readCheckpoint(stateFile);
  if (checkpoint === null)
    throw new TorchSearchError("ERR_CHECKPOINT_READ", `Checkpoint ${stateFile} does not exist.`);
  return reportDataOf(checkpoint, stateFile);
}

/** As {@link readReportData}, of a checkpoint that was read. @param source its file, for the record */
export function reportDataOf(checkpoint: Checkpoint, source: string): ReportData {
  const { state, settings } = checkpoint;
  const space = record(settings.space) as RecordedSpace;
  const fullCosts = (state.fullCosts ?? space.fullCosts) as ReportCosts | null | undefined;
  if (!isRecord(fullCosts)) {
    throw new TorchSearchError(
      "ERR_REPORT_STATE",
      `${source}, written by ${checkpoint.searcher}, has nothing to report yet, or isn't a search of a search space.`,
    );
  }
  const bounds = (state.bounds ?? {}) as ReportCosts;
  const best = state.best as (Omit<ScoredSubnet, "score"> & { score: number | null }) | null;
  const notes = record(settings.annotations);
  const before = record(notes.before);
  const candidates = measurementsOf(state, record(settings.narrowings), bounds);
  const measurements = candidates.filter(({ score }) => number(score) !== null);
  const request = record(notes.request);
  const versions = {
    torchsearch: checkpoint.libraryVersion,
    device: space.device,
    ...record(notes.versions),
  };
  return {
    model: typeof request.model === "string" ? path.basename(request.model) : "a model",
    source: path.basename(source),
    searcher: checkpoint.searcher,
    // Without a scoreFunc, quantization takes minus the sum of its harms as the score.
    scoreTitle: (text(record(notes.score).title) ?? (space.groups === undefined ? "score" : "-harm")).replace(
      /^-/,
      "−",
    ),
    full: {
      score: number(before.score) ?? number(state.fullScore),
      accuracy: number(before.accuracy),
      costs: { ...fullCosts },
    },
    best:
      best === null
        ? null
        : { score: number(best.score), accuracy: accuracyOf(notes, best.score), costs: { ...best.costs } },
    bounds: { ...bounds },
    measurements,
    stopped: candidates.length - measurements.length,
    heldOut: isRecord(notes.heldOut) ? (notes.heldOut as unknown as ReportData["heldOut"]) : null,
    operators: operatorsOf(record(notes.operators)),
    widths: widthsOf(space, best?.config ?? null, state),
    formats: formatsOf(space, state),
    densities: densitiesOf(space, state),
    pattern: text(space.pattern),
    sensitivity: Object.entries(sensitivityOf(state))
      .filter(([name]) => !isCustom(space, name))
      .map(([name, curve]) => ({ name, ...curve })),
    milp: isRecord(state.milp) ? (state.milp as unknown as MilpReport) : null,
    inputs: Array.isArray(notes.inputs) ? (notes.inputs as number[][]) : null,
    seconds: number(notes.seconds),
    command: Array.isArray(notes.command) ? relativeArguments(notes.command as string[], notes.cwd) : null,
    ...runFactsOf(checkpoint, source),
    folder: typeof notes.cwd === "string" ? relativePath(notes.cwd, source) : null,
    versions,
    fingerprint: checkpoint.fingerprint,
    settings: Object.fromEntries(
      Object.entries(record(settings.config))
        // Functions and loaders are only described there.
        .filter(
          ([, value]) => value !== null && !/^an? (function|instance|array|object)\b/.test(String(value)),
        )
        .map(([key, value]) => [key, String(value)]),
    ),
  };
}

/** The best subnet's accuracy: as it was rated at the end, or as it was measured when it became the best. */
function accuracyOf(notes: Record<string, unknown>, score: number | null): number | null {
  const { after, best } = notes;
  if (isRecord(after)) return number(after.accuracy);
  return isRecord(best) && best.score === score ? number(best.accuracy) : null;
}

/** The arguments of a command, with absolute paths made relative to the folder that it ran in. */
function relativeArguments(args: readonly string[], folder: unknown): string[] {
  return args.map((arg) =>
    typeof folder === "string" && path.isAbsolute(arg) ? path.relative(folder, arg) || "." : arg,
  );
}

function sensitivityOf(state: Checkpoint["state"]): Record<string, Sensitivity> {
  const curves = Object.entries(record(state.sensitivity));
  return Object.fromEntries(
    curves.filter(([, curve]) => Array.isArray(record(curve).choices)),
  ) as unknown as Record<string, Sensitivity>;
}

function measurementsOf(
  state: Checkpoint["state"],
  narrowings: Record<string, unknown>,
  bounds: ReportCosts,
): ReportMeasurement[] {
  const measured: ReportMeasurement[] = [];
  const add = (
    score: number,
    costs: ReportCosts | null,
    kind: ReportMeasurement["kind"],
    label: string,
  ): void => {
    measured.push({ score, costs, kind, label, fits: costs !== null && satisfies(costs, bounds) });
  };
  for (const [name, { choices, scores }] of Object.entries(sensitivityOf(state))) {
    const prices = record(narrowings[name]) as Record<string, number[]>;
    // Measured from wide to narrow; the last choice is the full model.
    for (let at = choices.length - 2; at >= 0; at--) {
      const score = scores[at];
      if (score === null || score === undefined) continue;
      const known = Object.entries(prices).map(([metric, column]): [string, number] => [
        metric,
        column[at] as number,
      ]);
      const costs = known.length > 0 ? Object.fromEntries(known) : null;
      add(score, costs, "narrowing", `${name} alone at ${choices[at]} of ${choices.at(-1)}`);
    }
  }
  for (const { step, score, costs } of (state.history ?? []) as (ScoredSubnet & { step: string })[])
    add(score, { ...costs }, "candidate", `candidate (${step})`);
  const columns = state.candidates as CandidateColumns | undefined;
  if (columns !== undefined)
    for (const [row, { score, costs }] of subnetsOf(columns).entries())
      add(score, { ...costs }, "candidate", `candidate ${row + 1}`);
  return measured;
}

/** Whether a hyperparameter is one of the user's own, which has no width to draw. */
function isCustom({ hyperparameters = [] }: RecordedSpace, name: string): boolean {
  return hyperparameters.some((each) => each.name === name && each.kind === "custom");
}

function widthsOf(
  space: RecordedSpace,
  best: SubnetConfig | null,
  state: Checkpoint["state"],
): ReportWidth[] {
  if (space.hyperparameters !== undefined) {
    return space.hyperparameters
      .filter(({ name }) => !isCustom(space, name))
      .map(({ name, kind, full }) => ({ name, kind, full, selected: best?.[name] ?? null }));
  }
  // A checkpoint of an earlier version: only sensitivities have the full widths.
  return Object.entries(sensitivityOf(state)).map(([name, { choices }]) => ({
    name,
    kind: "",
    full: choices.at(-1) as number,
    selected: best?.[name] ?? null,
  }));
}

function formatsOf({ groups = [] }: RecordedSpace, state: Checkpoint["state"]): ReportFormats[] {
  const harms = record(state.sensitivity);
  const chosen = record(record(state.best).config);
  return groups.map(({ name, layers, bits }) => ({
    name,
    layers,
    choices: Object.entries(bits).map(([format, each], at) => ({
      format,
      bits: number(each),
      // The full model's own format harms nothing.
      harm: at === 0 ? 0 : number(record(harms[name])[format]),
    })),
    selected: text(chosen[name]),
  }));
}

function densitiesOf({ layers, pattern }: RecordedSpace, state: Checkpoint["state"]): ReportDensity[] {
  if (layers === undefined || pattern === undefined) return [];
  const done = record(state.layers);
  return layers.map(({ name, kind, elements }) => {
    const { density, error } = record(done[name]);
    return { name, kind, elements, density: number(density), error: number(error) };
  });
}

type OperatorRow = { name: string; op: string; flops: number; params: number };

/** Joins the operators of the full model and of the subnet, which may lack some. */
function operatorsOf({ before, after }: Record<string, unknown>): ReportOperator[] {
  if (!Array.isArray(before)) return [];
  const keyed = (rows: OperatorRow[]): Map<string, OperatorRow> => {
    const seen = new Map<string, number>();
    return new Map(
      rows.map((row) => {
        const key = `${row.name} ${row.op}`;
        const count = (seen.get(key) ?? 0) + 1;
        seen.set(key, count);
        return [`${key} ${count}`, row];
      }),
    );
  };
  const kept = Array.isArray(after) ? keyed(after as OperatorRow[]) : null;
  return [...keyed(before as OperatorRow[])].map(([key, { name, op, flops, params }]) => {
    const rest = kept?.get(key);
    return {
      name,
      op,
      before: { flops, params },
      after: kept === null ? null : { flops: rest?.flops ?? 0, params: rest?.params ?? 0 },
    };
  });
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
