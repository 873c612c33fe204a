/**
 * Modes: making a space of a model, searching it, and registering a mode of your own.
 *
 * @module torchsearch/mode
 */
export { convert, type Mode, type ModeMap } from "../mode/convert";
export { type ModeDescriptor, type ModeSearcher, modeNames, registerMode } from "../mode/registry";
export { exportModel, type SearchCallConfig, search } from "../mode/search";
export { type ModeRecord, type SearchRecord, searchRecordOf } from "../model/history";
export { recordExport } from "../model/record-export";
export type { ExportOptions, ModeSpace } from "../space/mode-space";
