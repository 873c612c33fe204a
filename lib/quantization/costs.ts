/** The costs of formats, as sums over groups of layers. */
import type { NativeLayerFormat, NativeNumberFormat } from "../native/types/number-format";
import type { NativeQuantLayer } from "../native/types/quantization-space";
import { type MetricOf, metricsOf } from "../profile/metrics";

/** The metrics of a quantization space. */
export const QUANTIZATION_METRICS = metricsOf("formats");
/** Bits of a weight on average; bytes of all parameters and buffers. */
export type QuantizationMetric = MetricOf<"formats">;

/** A cost is (base + the sum over groups of table[group][format]) / divisor. Format 0 is `none`. */
export interface MetricCosts {
  table: number[][];
  base: number;
  divisor: number;
}

/** All costs. */
export interface FormatCosts {
  /** Elements of each group's weights; a shared weight counts once. */
  elements: number[];
  metrics: Record<QuantizationMetric, MetricCosts>;
}

const SCALE_BYTES = 4;
const ZERO_POINT_BYTES = 4;

/** @param groups the layers of each group */
export function costTable(
  groups: readonly (readonly NativeQuantLayer[])[],
  formats: readonly NativeLayerFormat[],
  moduleBytes: number,
): FormatCosts {
  // A weight that several layers read is stored once; all of these are of one group.
  const weights = groups.map((group) => [...new Map(group.map((layer) => [layer.weight, layer])).values()]);
  const elements = weights.map((list) => sum(list.map(elementsOf)));
  const all: (NativeLayerFormat | null)[] = [null, ...formats];
  const bits = weights.map((list) =>
    all.map((format) =>
      sum(list.map((layer) => elementsOf(layer) * (format?.weight?.bits ?? 8 * layer.elementBytes))),
    ),
  );
  const bytes = groups.map((group, at) =>
    all.map(
      (format, place) =>
        Math.ceil(((bits[at] as number[])[place] as number) / 8) +
        sum((weights[at] as NativeQuantLayer[]).map((layer) => gridBytes(layer, format?.weight ?? null))) +
        group.length * gridBytes(null, format?.activation ?? null),
    ),
  );
  const quantizable = sum(bytes.map((row) => row[0] as number));
  return {
    elements,
    metrics: {
      effectiveBits: { table: bits, base: 0, divisor: sum(elements) },
      size: { table: bytes, base: Math.max(0, moduleBytes - quantizable), divisor: 1 },
    },
  };
}

/** Bytes of scales and zero points; an activation (layer null) has one of each. */
function gridBytes(layer: NativeQuantLayer | null, format: NativeNumberFormat | null): number {
  if (format === null) return 0;
  const each = SCALE_BYTES + (format.type === "int" && !format.symmetric ? ZERO_POINT_BYTES : 0);
  if (layer === null || format.granularity === "tensor") return each;
  const elements = elementsOf(layer);
  const channels = layer.weightShape[layer.axis] ?? 1;
  const divides = format.granularity === "block" && (elements / channels) % format.blockSize === 0;
  return each * (divides ? elements / format.blockSize : channels);
}

function elementsOf({ weightShape }: NativeQuantLayer): number {
  return weightShape.reduce((product, size) => product * size, 1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
