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
import { type ModeDescriptor, registerMode } from "./registry";

const NAME = "auto_quantize";

/** NVIDIA ModelOpt's AutoQuantize: a number format for each layer, by their sensitivities. */
export const autoQuantize: ModeDescriptor<QuantizeConfig, QuantizationSpace> = registerMode({
  name: NAME,
  description: "number formats of a trained model's layers, by their sensitivities",
  defaults: QUANTIZE_DEFAULTS,
  rules: QUANTIZE_RULES,
  check: ({ formats }: Required<QuantizeConfig>) => void readFormats(formats),
  convert: (module, dummyInput, config: Required<QuantizeConfig>, from) =>
    makeQuantizationSpace(NAME, module, dummyInput, config, from),
  searchers: { milp: AutoQuantizeSearcher },
  defaultSearcher: "milp",
});
