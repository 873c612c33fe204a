import type { NativeCall } from "./call";
import type { NativeForwardable, NativeModule } from "./module";
import type { NativeLayerFormat } from "./number-format";
import type { NativeOutputView } from "./score";
import type { NativeTensor } from "./tensor";

export interface NativeQuantLayer {
  name: string;
  op: string;
  weightShape: number[];
  /** The dimension of the weight that its output channels are. */
  axis: number;
  elementBytes: number;
  /** Layers of one group get one format. */
  group: number;
  /** Layers with the same number here read the same weight. */
  weight: number;
}

/** One batch's part of a mean; `sums` by layer and then format, or by format. */
export interface NativeSensitivityPart {
  sums: Float64Array;
  count: number;
}

/** A module whose layers can be given number formats; it is closed with the module. */
export interface NativeQuantizationSpace extends NativeForwardable {
  readonly device: string;
  readonly closed: boolean;
  layers(): NativeQuantLayer[];
  /** The format of each group; -1 for none. */
  active(): number[];
  select(formats: Int32Array): void;
  /** Learns what layers read from a batch. */
  observe(args: unknown[], kwargs: Record<string, unknown>, call: NativeCall): Promise<void>;
  forgetActivations(call: NativeCall): Promise<void>;
  /** By layer and format, lower and upper end; NaN where there is none. ERR_NOT_CALIBRATED */
  activationEnds(call: NativeCall): Promise<Float64Array>;
  setActivationEnds(ends: Float64Array, call: NativeCall): Promise<void>;
  /** Sums by layer and format. */
  gradients(
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor,
    loss: string,
    view: NativeOutputView,
    call: NativeCall,
  ): Promise<NativeSensitivityPart>;
  /** Sums by format, of one group; `measure` is `klDivergence` or `meanSquaredError`. */
  outputs(
    args: unknown[],
    kwargs: Record<string, unknown>,
    group: number,
    measure: string,
    view: NativeOutputView,
    call: NativeCall,
  ): Promise<NativeSensitivityPart>;
  exportModule(call: NativeCall): Promise<NativeModule>;
  close(): void;
}

export interface NativeQuantizationOptions {
  formats: NativeLayerFormat[];
  groupSharedInputs: boolean;
}

/** Exported by native/binding/quantization_space.cpp. */
export interface QuantizationSpaceExports {
  QuantizationSpace: {
    new (...args: never): NativeQuantizationSpace;
    convert(
      module: NativeModule,
      args: unknown[],
      kwargs: Record<string, unknown>,
      options: NativeQuantizationOptions,
      call: NativeCall,
    ): Promise<NativeQuantizationSpace>;
  };
}
