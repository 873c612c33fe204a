/** Making a space of sparse weights: its config, the choice of layers, and the conversion. */
import { rules } from "../contract/config";
import { TorchSearchError } from "../errors";
import { nativeInputsOf } from "../model/inputs";
import type { Module } from "../model/module";
import { countCosts } from "../native/profile";
import { makeSparseSpace } from "../native/sparse-space";
import { keptWhole, LAYER_CHOICE_RULES, type LayerChoice } from "../space/layer-choice";
import { type ConfigRule, orNull } from "../util/rules";
import { parsePattern, patternRule } from "./pattern";
import { type DenseParameter, layerName, SparseSpace } from "./space";

/** The config of the modes `sparse_magnitude` and `sparsegpt`. */
export interface SparseConfig extends LayerChoice {
  /**
   * `"N:M"`: N of each M neighbours along a layer's input channels stay; default `"2:4"`, which sparse tensor cores
   * run. `"unstructured"`: any weights may stay.
   */
  pattern?: string;
  /** Whether the first layer that runs stays dense; default false. */
  skipFirst?: boolean;
  /** Whether the last layer that runs stays dense; default false. */
  skipLast?: boolean;
  /** Stops the conversion with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
}

/** The defaults of {@link SparseConfig}. */
export const SPARSE_DEFAULTS: Required<SparseConfig> = {
  pattern: "2:4",
  include: null,
  exclude: [],
  skipFirst: false,
  skipLast: false,
  signal: null,
};

/** The rules of {@link SparseConfig}. */
export const SPARSE_RULES: Record<keyof SparseConfig, ConfigRule> = {
  pattern: patternRule,
  ...LAYER_CHOICE_RULES,
  skipFirst: rules.boolean,
  skipLast: rules.boolean,
  signal: orNull(rules.signal),
};

/** Makes a space; `from` is the module's fingerprint. */
export async function convertSparse(
  mode: string,
  module: Module,
  dummyInput: unknown,
  config: Required<SparseConfig>,
  from: string,
): Promise<SparseSpace> {
  const { signal } = config;
  const inputs = nativeInputsOf(dummyInput);
  const native = await makeSparseSpace(module.native, inputs, { signal });
  try {
    const { params, macs } = await countCosts(module.native, inputs, { signal });
    const { layers, dense } = chooseLayers(native.layers(), config);
    if (layers.length === 0) {
      const reasons = dense.map(({ parameter, reason }) => `${parameter}: ${reason}`).slice(0, 8);
      throw new TorchSearchError(
        "ERR_NO_LAYERS",
        `No layer is left to make sparse (${reasons.join("; ")}). Choose another pattern, or include more layers.`,
      );
    }
    const all = [...native.denseParameters(), ...dense];
    return SparseSpace.wrap(native, {
      mode,
      pattern: config.pattern,
      moduleFingerprint: from,
      layers,
      dense: all,
      params,
      macs,
    });
  } catch (error) {
    native.close();
    throw error;
  }
}

function chooseLayers(
  all: readonly { parameter: string; kind: string; runLength: number }[],
  config: Required<SparseConfig>,
): { layers: number[]; dense: DenseParameter[] } {
  const { skipFirst, skipLast } = config;
  const pattern = parsePattern(config.pattern);
  const whole = keptWhole(
    all.map(({ parameter, kind }) => ({ name: layerName(parameter), kind })),
    config,
  );
  const layers: number[] = [];
  const dense: DenseParameter[] = [];
  all.forEach(({ parameter, runLength }, at) => {
    const reason =
      whole[at] ||
      (skipFirst && at === 0 && "it is the first layer (skipFirst)") ||
      (skipLast && at === all.length - 1 && "it is the last layer (skipLast)") ||
      (pattern !== null &&
        runLength % pattern.m !== 0 &&
        `its ${runLength} input channels a group aren't a multiple of ${pattern.m}`);
    if (reason === false) layers.push(at);
    else dense.push({ parameter, reason });
  });
  return { layers, dense };
}
