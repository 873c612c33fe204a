/** Number formats: their names, what they mean, and their checks. */
import { TorchSearchError } from "../errors";
import type { NativeLayerFormat, NativeNumberFormat } from "../native/types/number-format";
import { expected, isRecord } from "../util/check";
import { checkConfig } from "../util/complete-config";
import { suggestion } from "../util/nearest";
import { oneOf, refusal } from "../util/rules";

/** Ways to find the range of values that a format covers. */
export const CALIBRATIONS = ["max", "percentile", "meanSquaredError"] as const;
/**
 * `max`: the smallest and the largest value; `percentile`: quantiles, so that outliers are cut off; `meanSquaredError`: of the
 * shares 1, 0.99 … 0.2 of the full range the one with the smallest squared error.
 */
export type Calibration = (typeof CALIBRATIONS)[number];

/** How the numbers of a tensor are stored. */
export interface NumberFormat {
  /** Whole numbers; 8-bit floats of 4 exponent and 3 mantissa bits; of 5 and 2. Default `int`. */
  type?: "int" | "e4m3" | "e5m2";
  /** Bits of an `int`, 2 to 16; default 8. Floats have 8. */
  bits?: number;
  /**
   * For `int`. True (the default for weights): 0 stands for zero, and the range reaches as far on either side. False
   * (the default for activations): a zero point moves the range to where the values are.
   */
  symmetric?: boolean;
  /** The numbers that share a scale: a tensor, an output channel (the default for weights), or a block of a channel. */
  granularity?: "tensor" | "channel" | "block";
  /** For `block`: consecutive weights of a channel; where it doesn't divide a channel, the channel is one block. */
  blockSize?: number;
  /** Default `max`. */
  calibration?: Calibration;
  /**
   * For `percentile`: above 50, at most 100; default 99.99. The range holds this percentage of the magnitudes, or of
   * the values at either end where there is a zero point.
   */
  percentile?: number;
}

/** The formats that a layer's weight, and the activations it reads, are rounded to. */
export interface LayerFormat {
  /** The weight's format; null or absent leaves it as it is. */
  weight?: NumberFormat | null;
  /** The input's format; null or absent leaves it as it is. */
  activation?: NumberFormat | null;
}

/** The format that changes nothing: every layer may have it. */
export const UNQUANTIZED = "none";

const ACTIVATION_8: NumberFormat = { type: "int", bits: 8, symmetric: false };

/** Formats by name. */
export const QUANTIZATION_FORMATS = {
  int8: { weight: { type: "int", bits: 8, granularity: "channel" }, activation: ACTIVATION_8 },
  int4: {
    weight: { type: "int", bits: 4, granularity: "channel", calibration: "meanSquaredError" },
    activation: ACTIVATION_8,
  },
  int8_weight_only: { weight: { type: "int", bits: 8, granularity: "channel" } },
  int4_weight_only: {
    weight: { type: "int", bits: 4, granularity: "block", blockSize: 32, calibration: "meanSquaredError" },
  },
  fp8: { weight: { type: "e4m3", granularity: "channel" }, activation: { type: "e4m3" } },
  fp8_e5m2: { weight: { type: "e5m2", granularity: "channel" }, activation: { type: "e5m2" } },
} as const satisfies Record<string, LayerFormat>;
/** The name of a ready-made format. */
export type QuantizationFormat = keyof typeof QUANTIZATION_FORMATS;

/** Formats to choose from: names of ready-made ones, or own ones by name. */
export type FormatChoice =
  | readonly QuantizationFormat[]
  | { readonly [name: string]: LayerFormat | QuantizationFormat };

/** Reads a choice of formats. @throws `ERR_UNKNOWN_FORMAT`, `ERR_CONFIG_VALUE` */
export function readFormats(choice: FormatChoice): NativeLayerFormat[] {
  const entries: [string, unknown][] = Array.isArray(choice)
    ? choice.map((name: unknown) => [String(name), name])
    : isRecord(choice)
      ? Object.entries(choice)
      : [];
  if (entries.length === 0) {
    throw expected("ERR_CONFIG_VALUE", "names of formats, or formats by name", "formats", choice);
  }
  const names = entries.map(([name]) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined || names.includes(UNQUANTIZED)) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `formats must have different names, and not "${UNQUANTIZED}", which every layer can be anyway; received ${names.join(", ")}`,
    );
  }
  return entries.map(([name, format]) => readLayerFormat(name, format));
}

function readLayerFormat(name: string, given: unknown): NativeLayerFormat {
  const format = typeof given === "string" ? presetOf(given) : given;
  if (!isRecord(format)) throw expected("ERR_CONFIG_VALUE", "a format", `formats.${name}`, format);
  requireKeys(format, ["weight", "activation"], `formats.${name}`);
  const { weight = null, activation = null } = format;
  if (weight === null && activation === null) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `formats.${name} rounds neither weights nor activations; drop it, since every layer can be "${UNQUANTIZED}"`,
    );
  }
  return {
    name,
    weight: weight === null ? null : readNumberFormat(weight, `formats.${name}.weight`, "weight"),
    activation:
      activation === null ? null : readNumberFormat(activation, `formats.${name}.activation`, "activation"),
  };
}

function presetOf(name: string): LayerFormat {
  const known = Object.keys(QUANTIZATION_FORMATS);
  if (known.includes(name)) return QUANTIZATION_FORMATS[name as QuantizationFormat];
  throw new TorchSearchError("ERR_UNKNOWN_FORMAT", `unknown format "${name}": ${suggestion(name, known)}`);
}

/**
 * Completes and checks a number format.
 *
 * @param role decides the defaults; activations have one scale a tensor
 * @throws `ERR_CONFIG_VALUE`
 */
export function readNumberFormat(
  given: unknown,
  where: string,
  role: "weight" | "activation",
): NativeNumberFormat {
  if (!isRecord(given)) throw expected("ERR_CONFIG_VALUE", "a number format", where, given);
  const type = requireOneOf(given.type ?? "int", ["int", "e4m3", "e5m2"] as const, `${where}.type`);
  const isInt = type === "int";
  const allowed = isInt ? ["bits", "symmetric", "blockSize"] : ["bits"];
  requireKeys(given, ["type", "granularity", "calibration", "percentile", ...allowed], where);
  const bits = isInt
    ? inRange(given.bits ?? 8, 2, 16, `${where}.bits`, true)
    : inRange(given.bits ?? 8, 8, 8, `${where}.bits`, true);
  const symmetric = given.symmetric ?? role === "weight";
  if (typeof symmetric !== "boolean")
    throw expected("ERR_CONFIG_VALUE", "true or false", `${where}.symmetric`, symmetric);
  const granularities =
    role === "activation"
      ? (["tensor"] as const)
      : isInt
        ? (["channel", "tensor", "block"] as const)
        : (["channel", "tensor"] as const);
  const granularity = requireOneOf(
    given.granularity ?? granularities[0],
    granularities as readonly ("tensor" | "channel" | "block")[],
    `${where}.granularity`,
  );
  if (granularity !== "block" && given.blockSize !== undefined) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `${where}.blockSize has no use with granularity "${granularity}": drop it, or choose "block"`,
    );
  }
  const calibration = requireOneOf(given.calibration ?? "max", CALIBRATIONS, `${where}.calibration`);
  if (calibration !== "percentile" && given.percentile !== undefined) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      `${where}.percentile has no use with calibration "${calibration}": drop it, or choose "percentile"`,
    );
  }
  return {
    type,
    bits,
    symmetric: isInt ? symmetric : true,
    granularity,
    blockSize:
      granularity === "block" ? inRange(given.blockSize ?? 32, 1, 2 ** 30, `${where}.blockSize`, true) : 0,
    calibration,
    percentile: inRange(given.percentile ?? 99.99, 50.000001, 100, `${where}.percentile`, false),
  };
}

function requireKeys(record: Record<string, unknown>, known: readonly string[], where: string): void {
  checkConfig(record, Object.fromEntries(known.map((key) => [key, null])), {
    key: "key",
    prefix: `${where}.`,
  });
}

function requireOneOf<Name extends string>(value: unknown, names: readonly Name[], where: string): Name {
  const rule = oneOf(names);
  if (rule.accepts(value)) return value as Name;
  throw new TorchSearchError("ERR_CONFIG_VALUE", refusal(rule, where, value));
}

function inRange(value: unknown, low: number, high: number, where: string, whole: boolean): number {
  const fits = typeof value === "number" && value >= low && value <= high;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const what = low === high ? String(low) : `a ${whole ? "whole " : ""}number from ${low} to ${high}`;
  throw expected("ERR_CONFIG_VALUE", what, where, value);
}
