/**
 * Number formats: the space of `auto_quantize`, and quantizing a tensor.
 *
 * @module torchsearch/quantization
 */
export type { QuantizeConfig } from "../quantization/convert";
export { QUANTIZATION_METRICS, type QuantizationMetric } from "../quantization/costs";
export { type FakeQuantized, type FakeQuantizeOptions, fakeQuantize } from "../quantization/fake-quantize";
export {
  CALIBRATIONS,
  type Calibration,
  type FormatChoice,
  type LayerFormat,
  type NumberFormat,
  QUANTIZATION_FORMATS,
  type QuantizationFormat,
} from "../quantization/formats";
export {
  type CalibrateOptions,
  type FormatConfig,
  type QuantizableLayer,
  type QuantizationChoice,
  QuantizationSpace,
} from "../quantization/space";
