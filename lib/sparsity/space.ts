/** The space of sparse weights. */
import { TorchSearchError } from "../errors";
import type { Module } from "../model/module";
import { Tensor } from "../model/tensor";
import type { CallOptions } from "../model/types";
import { callNative } from "../native/call";
import type { NativeSparseLayer, NativeSparseSpace, NativeSparsityPlan } from "../native/types/sparse-space";
import { type MetricOf, metricsOf } from "../profile/metrics";
import { EvaluationSpace } from "../space/evaluation-space";
import type { ExportOptions, ModeSpace } from "../space/mode-space";
import { byName, NameIndex, unknownMetric } from "../space/names";
import { expected, isRecord, requireOptions } from "../util/check";
import { jsonDigest } from "../util/digest";
import { parsePattern, type SparsityPattern } from "./pattern";

/** The metrics of a {@link SparseSpace}. */
export const SPARSE_METRICS = metricsOf("sparsity");
/** One of {@link SPARSE_METRICS}. */
export type SparseMetric = MetricOf<"sparsity">;

/** The share of its weights that each layer keeps, by the layer's name. */
export type DensityConfig = Record<string, number>;

/** A layer whose weight can be made sparse. */
export interface SparseLayer {
  /** Path of the layer; for a weight that isn't called `weight`, the parameter's own path. */
  readonly name: string;
  /** Path of the weight. */
  readonly parameter: string;
  /** The kind of operator that uses the weight. */
  readonly kind: "convolution" | "linear";
  /** Sizes of the weight. */
  readonly shape: readonly number[];
  /** Groups of a convolution; else 1. */
  readonly groups: number;
  /** Elements of the weight. */
  readonly elements: number;
  /** Multiply-adds with it on the dummy input. */
  readonly macs: number;
  /** The share of its weights that stays now; 1 when it is dense. */
  readonly density: number;
}

/** A parameter that stays dense, and why. */
export interface DenseParameter {
  /** The parameter's path. */
  parameter: string;
  /** A sentence. */
  reason: string;
}

/** The result of making a layer sparse. */
export interface LayerSparsity {
  /** Weights that stay. */
  kept: number;
  /** `kept`, as a share of all. */
  density: number;
  /**
   * |X(W - V)|² / |XW|², over the inputs X that were seen: the share of the layer's outputs that its sparse weights V
   * miss. Null where no inputs were seen.
   */
  error: number | null;
  /** Inputs that were zero throughout. */
  deadInputs: number;
}

/** How `SparseSpace.sparsify` chooses and adjusts weights. */
export interface SparsifyOptions extends CallOptions {
  /** `magnitude`: the largest stay, as they are. `sparsegpt`: needs inputs, see {@link SparseSpace.collect}. */
  method: "magnitude" | "sparsegpt";
  /** SparseGPT: columns whose masks are chosen at once; default 128. */
  blockSize?: number;
  /** SparseGPT: added to the Hessian's diagonal, as a share of its mean; default 0.01. */
  hessianDamp?: number;
}

/** @internal Where a space comes from. */
export interface SparseOrigin {
  mode: string;
  pattern: string;
  moduleFingerprint: string;
  /** Positions, among the native layers, of those that may become sparse. */
  layers: readonly number[];
  dense: readonly DenseParameter[];
  /** Elements of all parameters, and multiply-adds, of the dense model. */
  params: number;
  macs: number;
}

/**
 * A copy of a module whose layers can be made sparse one by one, each from the weights that it was converted with; made
 * by `convert(module, "sparse_magnitude" | "sparsegpt", …)`. The module itself doesn't change.
 *
 * @example
 * ```ts
 * const sparse = await convert(module, "sparse_magnitude", dummyInput, { pattern: "unstructured" });
 * for (const { name } of sparse.layers) await sparse.sparsify(name, 0.5, { method: "magnitude" });
 * console.log(sparse.cost(sparse.active, "density")); // 0.5
 * ```
 */
export class SparseSpace extends EvaluationSpace<NativeSparseSpace> implements ModeSpace {
  readonly mode: string;
  /** Which weights of a layer may stay; null for any. */
  readonly pattern: SparsityPattern;
  /** The layers that can be made sparse, in the order in which they run. */
  readonly layers: readonly SparseLayer[];
  /** Parameters of two and more dimensions that stay dense. */
  readonly denseParameters: readonly DenseParameter[];

  readonly #origin: SparseOrigin;
  readonly #native: readonly NativeSparseLayer[];
  /** By name: the position among {@link layers}. */
  readonly #index: NameIndex;
  readonly #kept: number[];

  private constructor(native: NativeSparseSpace, origin: SparseOrigin) {
    super(native);
    this.#origin = origin;
    this.mode = origin.mode;
    this.pattern = parsePattern(origin.pattern);
    this.denseParameters = origin.dense;
    const all = native.layers();
    this.#native = origin.layers.map((at) => all[at] as NativeSparseLayer);
    this.#kept = this.#native.map(({ elements }) => elements);
    const kept = this.#kept;
    this.layers = this.#native.map(({ parameter, kind, shape, groups, elements, macs }, at) => ({
      name: layerName(parameter),
      parameter,
      kind,
      shape,
      groups,
      elements,
      macs,
      get density(): number {
        return (kept[at] as number) / elements;
      },
    }));
    const names = this.layers.map(({ name }) => name);
    this.#index = new NameIndex("ERR_UNKNOWN_LAYER", "layer", names);
  }

  /** @internal */
  static wrap(native: NativeSparseSpace, origin: SparseOrigin): SparseSpace {
    return new SparseSpace(native, origin);
  }

  protected override get noTraining(): string {
    return "A sparse space has no training mode; export() a module, whose masks keep the zeros, and train that.";
  }

  /** Depends on the module's graph and weights, the mode, the pattern and the layers. */
  protected override get digest(): string {
    const { mode, pattern, moduleFingerprint } = this.#origin;
    return jsonDigest([moduleFingerprint, mode, pattern, this.layers.map(({ name }) => name)]);
  }

  /** The function it gives makes the model dense again. */
  captureState(): () => Promise<void> {
    return () => this.reset();
  }

  /** The density that each layer has now. */
  get active(): DensityConfig {
    return byName(this.layers, ({ density }) => density);
  }

  /** Every layer dense. */
  get fullConfig(): DensityConfig {
    return byName(this.layers, () => 1);
  }

  /**
   * The cost of densities.
   *
   * @param config densities by layer; a layer that it leaves out counts with its present one
   * @param metric `density`: the share of the layers' weights that stays. `params`: elements of all parameters without
   *   the dropped weights. `macs`, `flops`: multiply-adds (and twice them) without the ones of dropped weights, as
   *   hardware that skips zeros would count
   * @throws `ERR_UNKNOWN_METRIC`, `ERR_UNKNOWN_LAYER`, `ERR_CHOICE`
   */
  cost(config: Readonly<DensityConfig>, metric: SparseMetric): number {
    if (!isRecord(config)) throw expected("ERR_ARGUMENT", "densities by layer", "config", config);
    const keeps = this.layers.map(({ elements }, at) => (this.#kept[at] as number) / elements);
    for (const [name, density] of Object.entries(config)) {
      const at = this.#index.at(name);
      keeps[at] = this.#keep(at, density) / (this.layers[at] as SparseLayer).elements;
    }
    const gone = (weight: (layer: SparseLayer) => number): number =>
      this.layers.reduce((sum, layer, at) => sum + weight(layer) * (1 - (keeps[at] as number)), 0);
    switch (metric) {
      case "density": {
        const all = this.layers.reduce((sum, { elements }) => sum + elements, 0);
        return 1 - gone(({ elements }) => elements) / all;
      }
      case "params":
        return Math.round(this.#origin.params - gone(({ elements }) => elements));
      case "macs":
      case "flops":
        return (metric === "flops" ? 2 : 1) * Math.round(this.#origin.macs - gone(({ macs }) => macs));
      default:
        throw unknownMetric(metric, SPARSE_METRICS);
    }
  }

  /** All {@link SPARSE_METRICS} of some densities. */
  costs(config: Readonly<DensityConfig>): Record<SparseMetric, number> {
    return Object.fromEntries(SPARSE_METRICS.map((metric) => [metric, this.cost(config, metric)])) as Record<
      SparseMetric,
      number
    >;
  }

  /**
   * Every layer at one density.
   *
   * @param density for the `unstructured` pattern, above 0 and up to 1; a pattern N:M has its own
   */
  uniform(density = 0.5): DensityConfig {
    const own = this.pattern === null ? density : this.pattern.n / this.pattern.m;
    return byName(this.layers, () => own);
  }

  /**
   * The densities that keep the largest magnitudes of all layers together.
   *
   * @throws `ERR_CHOICE` for a pattern N:M, which fixes every layer's density
   */
  async globalDensities(density: number, options: CallOptions = {}): Promise<DensityConfig> {
    requireOptions(options, "globalDensities");
    if (this.pattern !== null) {
      throw new TorchSearchError(
        "ERR_CHOICE",
        'A pattern N:M gives every layer the same density; convert with pattern: "unstructured" for a global one.',
      );
    }
    const total = this.layers.reduce((sum, { elements }) => sum + elements, 0);
    const counts = await callNative(
      (call) => this.native.globalCounts([...this.#origin.layers], Math.round(total * density), call),
      options.signal,
    );
    return byName(this.layers, ({ elements }, at) => (counts[at] as number) / elements);
  }

  /**
   * Until {@link stopCollecting}, forwards run the dense model (with `sequential` the present one) and gather the
   * inputs of these layers. Earlier inputs of them are forgotten.
   *
   * @param options `stopEarly`: end a forward, without an output, as soon as the layers have run
   */
  async collect(
    layers: readonly string[],
    options: CallOptions & { sequential?: boolean; stopEarly?: boolean } = {},
  ): Promise<void> {
    requireOptions(options, "collect");
    const { signal, sequential, stopEarly } = options;
    if (!Array.isArray(layers)) throw expected("ERR_ARGUMENT", "an array of layers' names", "layers", layers);
    const at = layers.map((name) => this.#nativeAt(name));
    await callNative((call) => this.native.collect(at, { sequential, stopEarly }, call), signal);
  }

  /** Ends {@link collect}; the gathered inputs are kept until the layer is made sparse. */
  async stopCollecting(): Promise<void> {
    await callNative((call) => this.native.stopCollecting(call));
  }

  /** The memory in bytes that {@link collect} needs for a layer. */
  bytesToCollect(layer: string): number {
    return (this.#native[this.#index.at(layer)] as NativeSparseLayer).productBytes;
  }

  /**
   * Makes a layer sparse, from its dense weights.
   *
   * @param density share of the weights that stay; 1 makes it dense. A pattern N:M accepts N / M and 1 only
   * @throws `ERR_UNKNOWN_LAYER`, `ERR_CHOICE`, `ERR_WEIGHT_NAN`, `ERR_HESSIAN`, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async sparsify(layer: string, density: number, options: SparsifyOptions): Promise<LayerSparsity> {
    requireOptions(options, "sparsify");
    const at = this.#index.at(layer);
    const native = this.#nativeAt(layer);
    const keep = this.#keep(at, density);
    const { elements } = this.layers[at] as SparseLayer;
    if (keep === elements) {
      await callNative((call) => this.native.makeDense(native, call), options.signal);
      this.#kept[at] = elements;
      return { kept: elements, density: 1, error: 0, deadInputs: 0 };
    }
    const plan: NativeSparsityPlan = this.pattern ?? { keep };
    const { blockSize, hessianDamp: damping } = options;
    const outcome = await callNative(
      (call) =>
        options.method === "sparsegpt"
          ? this.native.sparseGpt(native, plan, { blockSize, damping, forget: true }, call)
          : this.native.magnitude(native, plan, { forget: true }, call),
      options.signal,
    );
    this.#kept[at] = outcome.kept;
    return {
      kept: outcome.kept,
      density: outcome.kept / elements,
      error: outcome.error,
      deadInputs: outcome.dead,
    };
  }

  /** Copies of a layer's weight as it is now and of its mask (`bool`, of the same shape; null when it is dense). */
  async layerTensors(
    layer: string,
    options: CallOptions = {},
  ): Promise<{ weight: Tensor; mask: Tensor | null }> {
    requireOptions(options, "layerTensors");
    const at = this.#nativeAt(layer);
    const { weight, mask } = await callNative((call) => this.native.layerTensors(at, call), options.signal);
    return { weight: Tensor.wrap(weight), mask: mask === null ? null : Tensor.wrap(mask) };
  }

  /**
   * Puts back the tensors that {@link layerTensors} gave; `kept` is the number of weights in the mask. @throws
   * `ERR_INPUT`
   */
  async restoreLayer(layer: string, weight: Tensor, mask: Tensor, kept: number): Promise<void> {
    const at = this.#nativeAt(layer);
    for (const [name, tensor] of [
      ["weight", weight],
      ["mask", mask],
    ] as const) {
      if (!(tensor instanceof Tensor)) throw expected("ERR_INPUT", "a Tensor", name, tensor);
    }
    await callNative((call) => this.native.restore(at, weight.native, mask.native, call));
    this.#kept[this.#index.at(layer)] = kept;
  }

  /** Makes every layer dense, and forgets the gathered inputs. */
  async reset(options: CallOptions = {}): Promise<void> {
    requireOptions(options, "reset");
    await callNative((call) => this.native.reset(call), options.signal);
    this.layers.forEach(({ elements }, at) => {
      this.#kept[at] = elements;
    });
  }

  /**
   * The model as sparse as it is now, as a module of its own. Its densities and its outputs on the dummy input are
   * checked.
   *
   * @param options `masks` (default true): each sparse weight gets a boolean buffer beside it, `…weight_mask`. Forward
   *   multiplies the weight by it, so that training keeps the zeros. With false the weights just hold zeros, and the
   *   module is built as before
   * @throws `ERR_EXPORT`, `ERR_EXPORT_MISMATCH`, `ERR_SPARSITY_MISMATCH`, `ERR_CLOSED`, `ERR_ABORTED`
   */
  async export(options: ExportOptions & { masks?: boolean } = {}): Promise<Module> {
    requireOptions(options, "export");
    const { masks = true } = options;
    const config = this.active;
    const result = { config, costs: this.costs(config), masks };
    return this.exported((call) => this.native.exportModule(masks, call), result, options);
  }

  #nativeAt(name: string): number {
    return this.#origin.layers[this.#index.at(name)] as number;
  }

  /** How many weights a density keeps. */
  #keep(at: number, density: number): number {
    const { name, elements } = this.layers[at] as SparseLayer;
    if (density === 1) return elements;
    if (this.pattern !== null) {
      const own = this.pattern.n / this.pattern.m;
      if (density !== own) throw expected("ERR_CHOICE", `${own} or 1`, `the density of ${name}`, density);
      return elements * own;
    }
    if (!(density >= 0 && density < 1))
      throw expected("ERR_CHOICE", "a number from 0 to 1", `the density of ${name}`, density);
    return Math.round(elements * density);
  }
}

/** Path of the layer that a weight belongs to. */
export function layerName(parameter: string): string {
  return parameter.endsWith(".weight") ? parameter.slice(0, -".weight".length) : parameter;
}
