import type { NativeCall } from "./call";
import type { NativeForwardable, NativeModule } from "./module";
import type { NativeTensor } from "./tensor";

/** A weight of a layer that can be made sparse. */
export interface NativeSparseLayer {
  parameter: string;
  kind: "convolution" | "linear";
  shape: number[];
  groups: number;
  elements: number;
  /** Inputs that stand side by side: N:M groups must fit into them. */
  runLength: number;
  /** Multiply-adds on the dummy input. */
  macs: number;
  /** Bytes that the products of its inputs take while they are gathered. */
  productBytes: number;
}

/** Which weights stay: n of each m neighbours, or so many of all. */
export type NativeSparsityPlan = { n: number; m: number } | { keep: number };

/** The result of making a layer sparse; `error` is null when its inputs were not seen. */
export interface NativeSparseOutcome {
  kept: number;
  error: number | null;
  dead: number;
}

/** A copy of a module whose weights can be made sparse; layers are known by their position in `layers()`. */
export interface NativeSparseSpace extends NativeForwardable {
  readonly device: string;
  readonly closed: boolean;
  layers(): NativeSparseLayer[];
  denseParameters(): { parameter: string; reason: string }[];
  /** From now on forwards gather the inputs of some layers. */
  collect(
    layers: number[],
    options: { sequential?: boolean; stopEarly?: boolean },
    call: NativeCall,
  ): Promise<void>;
  stopCollecting(call: NativeCall): Promise<void>;
  globalCounts(layers: number[], keep: number, call: NativeCall): Promise<number[]>;
  /** ERR_WEIGHT_NAN */
  magnitude(
    layer: number,
    plan: NativeSparsityPlan,
    options: { forget?: boolean },
    call: NativeCall,
  ): Promise<NativeSparseOutcome>;
  /** ERR_WEIGHT_NAN, ERR_HESSIAN */
  sparseGpt(
    layer: number,
    plan: NativeSparsityPlan,
    options: { blockSize?: number; damping?: number; forget?: boolean },
    call: NativeCall,
  ): Promise<NativeSparseOutcome>;
  makeDense(layer: number, call: NativeCall): Promise<void>;
  reset(call: NativeCall): Promise<void>;
  /** `mask` is null for a dense layer. */
  layerTensors(layer: number, call: NativeCall): Promise<{ weight: NativeTensor; mask: NativeTensor | null }>;
  restore(layer: number, weight: NativeTensor, mask: NativeTensor, call: NativeCall): Promise<void>;
  /** ERR_EXPORT, ERR_EXPORT_MISMATCH, ERR_SPARSITY_MISMATCH */
  exportModule(masks: boolean, call: NativeCall): Promise<NativeModule>;
  close(): void;
}

/** Exported by native/binding/sparse_space.cpp. */
export interface SparseSpaceExports {
  SparseSpace: {
    new (...args: never): NativeSparseSpace;
    convert(
      module: NativeModule,
      args: unknown[],
      kwargs: Record<string, unknown>,
      call: NativeCall,
    ): Promise<NativeSparseSpace>;
  };
}
