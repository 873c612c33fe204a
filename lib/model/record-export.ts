/** Continuing a model's history: how a space began is remembered, and written into what the space exports. */
import { libraryVersions } from "../native/versions";
import { expected, isRecord, requireRecord } from "../util/check";
import { plainRecord } from "../util/plain";
import { type ModeRecord, readHistory, type SearchRecord, UNREADABLE_FILE, writeHistory } from "./history";
import { Module } from "./module";

/** How a converted space began. */
export interface Application {
  mode: string;
  config: Readonly<Record<string, unknown>>;
  /** Fingerprint of the module before it was converted. */
  from: string;
  earlier: readonly ModeRecord[];
  /** The converted module's history where it could not be read; else null. */
  unreadable: string | null;
}

const applications = new WeakMap<object, Application>();

/** @internal Remembers how a space was made, so that what it exports gets its history. */
export function rememberApplication(
  space: object,
  module: Module,
  begun: Omit<Application, "earlier" | "unreadable">,
): void {
  const { records, problem, text } = readHistory(module.native);
  const kept = module.native.extraFile(UNREADABLE_FILE);
  applications.set(space, { ...begun, earlier: records, unreadable: problem === null ? kept : text });
}

/** The records of the module that a space was converted from; none for a space that `convert()` didn't make. */
export function earlierRecords(space: object): readonly ModeRecord[] {
  return applications.get(space)?.earlier ?? [];
}

/**
 * Writes the history into an exported module: the history of the module that was converted, and a record of this mode.
 * Every space calls it in its `export`.
 *
 * @param result the choice that was exported and its costs, in values that JSON can hold
 * @param search the search that chose it; null for none
 * @throws `ERR_ARGUMENT`
 */
export function recordExport(
  subnet: Module,
  space: object,
  result: Readonly<Record<string, unknown>>,
  search: SearchRecord | null = null,
): void {
  if (!(subnet instanceof Module)) throw expected("ERR_ARGUMENT", "a Module", "subnet", subnet);
  requireRecord(result, "result");
  if (search !== null && !isRecord(search))
    throw expected("ERR_ARGUMENT", "the record of a search, or null", "search", search);
  const application = applications.get(space);
  if (application === undefined) return; // made without convert(): there is nothing to continue
  const { mode, config, from, earlier, unreadable } = application;
  const record: ModeRecord = {
    mode,
    config: plainRecord(config),
    from,
    search,
    result: plainRecord(result),
    versions: libraryVersions(),
  };
  writeHistory(subnet.native, [...earlier, record]);
  if (unreadable !== null) subnet.native.setExtraFile(UNREADABLE_FILE, unreadable);
}
