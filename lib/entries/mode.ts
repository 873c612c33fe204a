/**
 * Modes: making a space of a model, searching it, and registering a mode of your own.
 *
 * @module torchsearch/mode
 */
export type { Converted, Mode, ModeMap } from "../mode/built-in";
export { convert } from "../mode/convert";
export { FORMAT_SEARCHERS, type FormatSearchers } from "../mode/quantize-mode";
export {
  type AnyMode,
  type ConfigOf,
  findMode,
  type ModeDescriptor,
  type ModeSearcher,
  type ModeSearchers,
  modeNames,
  registerMode,
  type SpaceOf,
} from "../mode/registry";
export {
  type DefaultSearcher,
  type DescriptorOf,
  exportModel,
  type ModesOf,
  type SearchCallConfig,
  type SearcherConfig,
  type SearcherName,
  type SearcherOf,
  type SearcherState,
  search,
} from "../mode/search";
export { SPARSE_SEARCHERS, type SparseSearchers } from "../mode/sparse-modes";
export { WIDTH_SEARCHERS, type WidthSearchers } from "../mode/width-modes";
export { type ModeRecord, type SearchRecord, searchRecordOf } from "../model/history";
export { recordExport } from "../model/record-export";
export type { ExportOptions, ModeSpace } from "../space/mode-space";
