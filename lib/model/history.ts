/** The history of the modes that made a model what it is: kept in its TorchScript file, beside the model. */
import { TorchSearchError } from "../errors";
import type { NativeModule } from "../native/types/module";
import { isRecord, requireRecord } from "../util/check";
import { jsonDepth, MAX_JSON_DEPTH } from "../util/json-depth";
import { type PlainValue, plainRecord } from "../util/plain";

/** The search that led to an exported model. */
export interface SearchRecord {
  /** The class, such as `MilpSearcher`. */
  searcher: string;
  /** The search's seed. */
  seed: number;
  /** Upper bounds as they were given. */
  constraints: Record<string, PlainValue>;
  /** The searcher's config; functions and data are named by their type. */
  config: Record<string, PlainValue>;
  /** The exported model's score; null when the search had none. */
  score: number | null;
}

/** One mode applied to a model. The same conversion and search give the same record: it holds no times of day. */
export interface ModeRecord {
  /** Such as `fastnas`. */
  mode: string;
  /** The complete config of the conversion; functions and data are named by their type. */
  config: Record<string, PlainValue>;
  /** Fingerprint of the module that was converted. */
  from: string;
  /** Null when no search chose the result. */
  search: SearchRecord | null;
  /**
   * The result: for `fastnas`, `config` (widths by hyperparameter), its `costs`, and the `fullCosts` before; under
   * `custom` the choices of hyperparameters of the user's own.
   */
  result: Record<string, PlainValue>;
  /** The versions that applied it. */
  versions: { torchsearch: string; libtorch: string };
}

/** Config keys of a search that don't decide its result, or that stand elsewhere in the record. */
const UNRECORDED = new Set([
  "checkpoint",
  "verbose",
  "signal",
  "onProgress",
  "seed",
  "group",
  "activationCache",
]);

/** The record of a search, for the history of the model that it exports. */
export function searchRecordOf(
  searcher: { readonly config: object; readonly constraints: Readonly<Record<string, unknown>> },
  score: number | null,
): SearchRecord {
  requireRecord(searcher, "searcher");
  const { config, constraints } = searcher;
  requireRecord(config, "searcher.config");
  requireRecord(constraints, "searcher.constraints");
  const decisive = Object.entries(config).filter(([key]) => !UNRECORDED.has(key));
  return {
    searcher: searcher.constructor.name,
    seed: (config as { seed: number }).seed,
    constraints: plainRecord(constraints),
    config: plainRecord(Object.fromEntries(decisive)),
    score,
  };
}

/** The name of the history in a TorchScript archive: `extra/torchsearch_history.json`. */
export const HISTORY_FILE = "torchsearch_history.json";
/** Where one that could not be read is kept, as it was. */
export const UNREADABLE_FILE = "torchsearch_history.unreadable.json";

const FORMAT = "torchsearch-history";
const VERSION = 1;

/** Sets a module's history; `save` writes it. */
export function writeHistory(native: NativeModule, records: readonly ModeRecord[]): void {
  native.setExtraFile(HISTORY_FILE, `${JSON.stringify({ format: FORMAT, version: VERSION, records })}\n`);
}

/** The history in a module's file. */
export interface ReadHistory {
  records: readonly ModeRecord[];
  /** Why it could not be read; null when it was, or when there is none. */
  problem: TorchSearchError | null;
  text: string | null;
}

/** Reads a module's history; one that can't be read counts as none, with the reason. */
export function readHistory(native: NativeModule): ReadHistory {
  const text = native.extraFile(HISTORY_FILE);
  if (text === null) return { records: [], problem: null, text };
  try {
    return { records: parseHistory(text), problem: null, text };
  } catch (error) {
    return { records: [], problem: error as TorchSearchError, text };
  }
}

function parseHistory(text: string): ModeRecord[] {
  // An export writes the records again, and JSON.stringify calls itself.
  if (jsonDepth(text) > MAX_JSON_DEPTH) throw damaged("its values are nested too deeply");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw damaged("it is not JSON", error);
  }
  if (!isRecord(document) || document.format !== FORMAT || typeof document.version !== "number") {
    throw damaged(`it does not say that it is a "${FORMAT}"`);
  }
  if (document.version > VERSION) {
    throw new TorchSearchError(
      "ERR_HISTORY_VERSION",
      `The history in the model's file has version ${document.version}, and this torchsearch reads up to ${VERSION}: the model is used without it. Update torchsearch to read it.`,
    );
  }
  const { records } = document;
  if (!Array.isArray(records)) throw damaged("it has no list of records");
  const wrong = records.findIndex((record) => !isModeRecord(record));
  if (wrong >= 0) throw damaged(`record ${wrong} is incomplete`);
  return records as ModeRecord[];
}

function isModeRecord(value: unknown): value is ModeRecord {
  return (
    isRecord(value) &&
    typeof value.mode === "string" &&
    typeof value.from === "string" &&
    [value.config, value.result, value.versions].every(isRecord) &&
    (value.search === null || isRecord(value.search))
  );
}

function damaged(why: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_HISTORY",
    `The history in the model's file is damaged (${why}): the model is used without it. An export keeps it as ${UNREADABLE_FILE}.`,
    cause === undefined ? undefined : { cause },
  );
}
