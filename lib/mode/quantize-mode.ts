/** The mode that chooses number formats of a model's layers. */
import {
  makeQuantizationSpace,
  QUANTIZE_DEFAULTS,
  QUANTIZE_RULES,
  type QuantizeConfig,
} from "../quantization/convert";
import { readFormats } from "../quantization/formats";
import type { QuantizationSpace } from "../quantization/space";
import { AutoQuantizeSearcher } from "../search/format/auto-quantize";
import type { ModeDescriptor } from "./registry";

const NAME = "auto_quantize";
/** The searchers of a space of number formats, by the names that `search` and the command know. */
export const FORMAT_SEARCHERS = { milp: AutoQuantizeSearcher } as const;
/** The searchers of a space of number formats. */
export type FormatSearchers = typeof FORMAT_SEARCHERS;

/** NVIDIA ModelOpt's AutoQuantize: a number format for each layer, by their sensitivities. */
export const autoQuantize: ModeDescriptor<QuantizeConfig, QuantizationSpace, FormatSearchers, "milp"> = {
  name: NAME,
  description: "number formats of a trained model's layers, by their sensitivities",
  defaults: QUANTIZE_DEFAULTS,
  rules: QUANTIZE_RULES,
  check: ({ formats }) => void readFormats(formats),
  convert: (module, dummyInput, config, from) =>
    makeQuantizationSpace(NAME, module, dummyInput, config, from),
  searchers: FORMAT_SEARCHERS,
  defaultSearcher: "milp",
};
