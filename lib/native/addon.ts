/** The native door, typed: what the C++ addon exports. Everything above `lib/native` speaks to it through here. */
import type { TorchSearchError } from "../errors";
import { loadNative } from "./load";

/** A typed array whose elements a tensor can share; 16-bit floats are bit patterns in a `Uint16Array`. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** How far a native call is. Of events that come faster than JavaScript takes them, only the latest is delivered. */
export interface NativeProgress {
  done: number;
  /** 0 when not known. */
  total: number;
  message: string;
}

/** Stops a native call: one that waits is dropped at once, one that runs stops at its next check. */
export interface NativeCancelToken {
  cancel(): void;
}

/** The last argument of every asynchronous native function. */
export interface NativeCall {
  cancel?: NativeCancelToken;
  onProgress?: (event: NativeProgress) => void;
}

export interface NativeTensor {
  readonly shape: number[];
  readonly dtype: string;
  readonly device: string;
  readonly closed: boolean;
  /** Over the tensor's own memory when it is contiguous and on the CPU, else a copy. */
  data(): TypedArray;
  close(): void;
}

export interface NativeNamedTensor {
  name: string;
  tensor: NativeTensor;
}

/** What can be called on a batch: a module, or the active subnet of a search space. */
export interface NativeForwardable {
  forward(args: unknown[], kwargs: Record<string, unknown> | null, call?: NativeCall): Promise<unknown>;
}

export interface NativeModule extends NativeForwardable {
  readonly training: boolean;
  readonly bytes: number;
  readonly device: string;
  readonly closed: boolean;
  forwardSchema(): string;
  save(path: string, call: NativeCall): Promise<void>;
  /** A text that the file holds beside the model (`extra/NAME` in the archive); null without one. */
  extraFile(name: string): string | null;
  /** `save` writes it with the model. */
  setExtraFile(name: string, text: string): void;
  namedParameters(): NativeNamedTensor[];
  namedBuffers(): NativeNamedTensor[];
  train(on: boolean): void;
  to(device: string, call: NativeCall): Promise<void>;
  fingerprint(call: NativeCall): Promise<string>;
  close(): void;
}

/** What a hyperparameter counts. */
export type NativeHyperparameterKind = "out_channels" | "hidden_width" | "num_heads" | "depth";

/** A width that can be chosen, or whether a residual block is there. */
export interface NativeHyperparameter {
  /** A width: path of the first module whose output it is, such as `layer1.0.conv1`. A block: its path and `.depth`. */
  name: string;
  kind: NativeHyperparameterKind;
  /** Ascending; the last one is the full width. 0 and 1 for `depth`. */
  choices: number[];
  full: number;
  /** Place, in the order of execution, of the first operator that it changes. */
  begins: number;
}

/** What keeping activations has spared so far; see `SearchSpace.reuse`. */
export interface NativeReuse {
  budget: number;
  bytes: number;
  peak: number;
  entries: number;
  forwards: number;
  hits: number;
  instructionsRun: number;
  instructionsSkipped: number;
  macsRun: number;
  macsSkipped: number;
}

/** A number that an operator of the graph is given, and that no size or shape follows from. */
export interface NativeGraphConstant {
  /**
   * Path of the module, operator and argument: `layer1.0.act.leaky_relu.negative_slope`; with `#2` and so on after it for
   * later calls of the same name, in the order of execution.
   */
  name: string;
  /** Such as `aten::leaky_relu`. */
  operator: string;
  /** The argument's name in the operator's schema. */
  argument: string;
  type: "float" | "int" | "bool";
  /** What it is in the model; of a `bool` 0 or 1. */
  value: number;
}

/** What came of a hyperparameter of the user's own. */
export interface NativeAddedHyperparameter {
  /** The first operator that it changes. */
  begins: number;
  /** The model's own number; null for tensors. */
  own: number | null;
  /** The other numbers, each once, in the order given; none for tensors. */
  numbers: number[];
}

/** A dimension of a parameter that stays whole, and why. */
export interface NativeUnprunable {
  parameter: string;
  dimension: number;
  reason: string;
}

export interface NativeSpaceOptions {
  /** Widths are multiples of it where the full width allows; a whole number of at least 1. */
  channelDivisor: number;
  /** Whether residual blocks may be left out; default true. */
  depth?: boolean;
}

/** A measure of how much channels matter; `SearchSpace.measure` feeds it. */
export interface NativeImportance {
  /** Whether it must be fed before it gives scores. */
  readonly needsData: boolean;
  readonly needsTarget: boolean;
}

export interface NativeImportanceOptions {
  /** `random` */
  seed?: number;
  /** `taylor`: `crossEntropy` or `mse`. */
  loss?: string;
}

/** Latencies of one operator. */
export interface NativeLatencyOperator {
  /** Operator, shapes and arguments; letters stand for sizes that vary. */
  key: string;
  /** How many sizes vary. */
  variables: number;
  /** Rows of `variables` sizes and the milliseconds at them. */
  points: Float64Array;
}

/** How forwards are timed; `threads` of 0 keeps LibTorch's number. */
export interface NativeTimingOptions {
  warmup: number;
  repeats: number;
  threads: number;
}

/** One value per hyperparameter, in the order of `hyperparameters()`, then one for each that was added. */
export type NativeWidths = Int32Array | readonly number[];

/**
 * A module whose channel widths can be chosen. It works on the module's own weights, and is closed with the module;
 * every member of a closed one but `closed` and `close` throws ERR_CLOSED.
 */
export interface NativeSearchSpace extends NativeForwardable {
  readonly device: string;
  readonly closed: boolean;
  hyperparameters(): NativeHyperparameter[];
  unprunable(): NativeUnprunable[];
  /** What `addNumbers` may change. */
  constants(): NativeGraphConstant[];
  /**
   * Adds a choice among tensors in the place of a parameter or buffer; its values are positions among them, and one past
   * the last for the model's own. `original`: whether the tensors are in the order of channels before the conversion.
   * ERR_UNKNOWN_TENSOR, ERR_HYPERPARAMETER, ERR_DATA_DEPENDENT
   */
  addTensors(
    name: string,
    tensor: string,
    values: NativeTensor[],
    original: boolean,
    call: NativeCall,
  ): Promise<NativeAddedHyperparameter>;
  /** The same with numbers in the place of constants. ERR_UNKNOWN_CONSTANT, ERR_HYPERPARAMETER */
  addNumbers(
    name: string,
    constants: string[],
    numbers: number[],
    call: NativeCall,
  ): Promise<NativeAddedHyperparameter>;
  /** Widths of the active subnet. */
  active(): number[];
  /**
   * Makes another subnet the active one: what forwards that have not begun will run, so await them first.
   * ERR_CHOICE when a width is none of its choices.
   */
  select(widths: NativeWidths): void;
  /**
   * `params`, `macs`, `flops`, `size` (bytes), `memory` (bytes) or `latency` (milliseconds) of a subnet, without running it.
   * ERR_UNKNOWN_METRIC, ERR_CHOICE, ERR_NO_LATENCY_TABLE
   */
  cost(widths: NativeWidths, metric: string): number;
  /** While on, forwards average batch statistics into the active subnet's own running mean and variance. */
  recalibrate(on: boolean): void;
  /** Lets forwards keep activations in at most so many bytes; 0 keeps none and frees what is held. */
  reuseActivations(bytes: number): void;
  /** The subnets that will be selected next, in this order. ERR_CHOICE */
  expect(candidates: NativeWidths[]): void;
  reuse(): NativeReuse;
  /** Times the operators that `known` lacks, at `points` widths of each hyperparameter; selects nothing. */
  measureLatency(
    known: NativeLatencyOperator[],
    options: NativeTimingOptions & { points: number },
    call: NativeCall,
  ): Promise<{ operators: NativeLatencyOperator[]; threads: number }>;
  /** Milliseconds of whole forwards of some subnets; selects nothing. */
  timeSubnets(subnets: NativeWidths[], options: NativeTimingOptions, call: NativeCall): Promise<number[]>;
  /** What `latency` is computed from; null for nothing. ERR_LATENCY_TABLE_INCOMPLETE */
  useLatencyTable(operators: NativeLatencyOperator[] | null): void;
  /** Adds a batch to a measure of importance, running the whole model on it. */
  measure(
    importance: NativeImportance,
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor | null,
    call: NativeCall,
  ): Promise<void>;
  /** As `measure`, on a whole data set; `target` is the position, in a batch, of the target, or -1 for none. */
  measureAll(
    importance: NativeImportance,
    dataset: NativeDataset,
    options: NativeLoopOptions & { target: number },
    call: NativeCall,
  ): Promise<NativeLoopResult>;
  /**
   * Scores by hyperparameter, in the order that the channels have now; `absolute` ones compare over hyperparameters
   * (`taylor` only).
   */
  scores(importance: NativeImportance, absolute: boolean, call: NativeCall): Promise<number[][]>;
  /** Puts the channels in descending order of their scores, in place; a digest of the order. */
  reorder(importance: NativeImportance, call: NativeCall): Promise<string>;
  /** The active subnet as a module of its own, with copied, smaller weights. */
  exportSubnet(call: NativeCall): Promise<NativeModule>;
  /** A handle of the module whose weights it shares, of its own; don't close it, which would close the module. */
  module(): NativeModule;
  /** Lets go of the module, and leaves it open. */
  close(): void;
}

/** A number format, complete; see `NumberFormat`. */
export interface NativeNumberFormat {
  type: "int" | "e4m3" | "e5m2";
  bits: number;
  symmetric: boolean;
  granularity: "tensor" | "channel" | "block";
  /** 0 without blocks. */
  blockSize: number;
  calibration: "max" | "percentile" | "mse";
  percentile: number;
}

export interface NativeLayerFormat {
  name: string;
  weight: NativeNumberFormat | null;
  activation: NativeNumberFormat | null;
}

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
    call: NativeCall,
  ): Promise<NativeSensitivityPart>;
  /** Sums by format, of one group; `measure` is `klDivergence` or `mse`. */
  outputs(
    args: unknown[],
    kwargs: Record<string, unknown>,
    group: number,
    measure: string,
    call: NativeCall,
  ): Promise<NativeSensitivityPart>;
  exportModule(call: NativeCall): Promise<NativeModule>;
  close(): void;
}

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

/** What became of a layer; `error` is null when its inputs were not seen. */
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

export interface NativeLoadOptions {
  device?: string;
  allowUnsafeOperators?: boolean;
}

/** Tensors with an equal first dimension, cut into batches; a batch is one slice of each tensor. */
export interface NativeDataset {
  readonly batches: number;
  readonly samples: number;
  readonly closed: boolean;
  batch(index: number): NativeTensor[];
  close(): void;
}

export interface NativeDatasetOptions {
  batchSize: number;
  /** Shuffles; the same seed gives the same order in every pass. */
  shuffleSeed?: number;
  dropLast?: boolean;
}

export type NativeScoreKind = "topk" | "crossEntropy" | "mse" | "klDivergence";

/** A mean over batches, accumulated in float64. */
export interface NativeScore {
  reset(): void;
  value(): number;
  count(): number;
}

/** Which tensors of a batch are the model's arguments, and how far to go. */
export interface NativeLoopOptions {
  inputs: number[];
  maxBatches?: number;
}

export interface NativeEvaluateOptions extends NativeLoopOptions {
  /** Which tensor of a batch is the target; -1 for none. */
  target: number;
  teacher?: NativeForwardable;
  /** When the pass may stop: its value can't reach the threshold, in the score's own unit and direction. */
  stop?: { threshold: number; errorProbability: number };
}

export interface NativeLoopResult {
  samples: number;
  batches: number;
  seconds: number;
}

/** What to measure; without `latency` nothing is timed. `threads` of 0 keeps LibTorch's number. */
export interface NativeProfileOptions {
  latency: boolean;
  warmup: number;
  repeats: number;
  threads: number;
}

/** Times in milliseconds. */
export interface NativeLatency {
  median: number;
  mean: number;
  min: number;
  max: number;
  p10: number;
  p50: number;
  p90: number;
  p99: number;
  warmup: number;
  runs: number;
  threads: number;
}

/** One executed tensor operator. */
export interface NativeOperatorProfile {
  name: string;
  op: string;
  inputShapes: number[][];
  outputShapes: number[][];
  params: number;
  macs: number;
  latencyMs: number | null;
}

export interface NativeProfile {
  params: number;
  macs: number;
  size: number;
  memory: number;
  latency: NativeLatency | null;
  operators: NativeOperatorProfile[];
  device: string;
  notes: string[];
}

/** How a trainer changes weights; what is left out keeps its default in native/core/train. */
export interface NativeTrainOptions {
  optimizer?: string;
  weightDecay?: number;
  /** Whether weight decay takes biases and norms, parameters of at most one dimension, too. */
  decayVectors?: boolean;
  momentum?: number;
  nesterov?: boolean;
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  schedule?: string;
  learningRate?: number;
  finalShare?: number;
  warmupSteps?: number;
  totalSteps?: number;
  /** 0 for none. */
  clipNorm?: number;
  seed?: number;
  /** Names of parameters. */
  trainable?: string[];
  loss?: string;
  labelSmoothing?: number;
  /** The share of the teacher in the loss. */
  alpha?: number;
  temperature?: number;
  teacher?: NativeForwardable;
}

/** Batches of one epoch to train on. */
export interface NativeTrainStretch {
  inputs: number[];
  /** Which tensor of a batch is the target; -1 for none. */
  target: number;
  /** The epoch whose order of the samples is drawn; left out, they come in the data set's order. */
  epoch?: number;
  first: number;
  count: number;
  /** Ends after the batch that is done later than this; left out, never. */
  seconds?: number;
}

/** Changes a module's weights in place. A step that fails changes none. */
export interface NativeTrainer {
  /** Ends early, without an error, when it is cancelled. */
  run(
    dataset: NativeDataset,
    stretch: NativeTrainStretch,
    call: NativeCall,
  ): Promise<{ losses: Float64Array; samples: number; seconds: number }>;
  /** One step; its loss. */
  step(
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor | null,
    call: NativeCall,
  ): Promise<number>;
  /** The first half of a step: the tensor of the output that the loss is of. */
  begin(args: unknown[], kwargs: Record<string, unknown>, call: NativeCall): Promise<NativeTensor>;
  /** The second half, from a loss and its gradient with respect to that tensor; the loss with the teacher's part. */
  finish(loss: number, gradient: NativeTensor, call: NativeCall): Promise<number>;
  /** Instead of the second half: takes the first one back. */
  abandon(call: NativeCall): Promise<void>;
  status(): { steps: number; loss: number; learningRate: number };
  /** Names of the parameters that are trained. */
  trained(): string[];
  /** Remembers weights and buffers as they are. ERR_LOSS_NAN where they are not finite. */
  keep(call: NativeCall): Promise<void>;
  /** Puts them back; whether there were any. */
  restoreKept(call: NativeCall): Promise<boolean>;
  /** Copies of all that another trainer needs to go on from here. */
  state(call: NativeCall): Promise<NativeNamedTensor[]>;
  load(state: NativeNamedTensor[], steps: number, call: NativeCall): Promise<void>;
  /** Averages the batch norms' statistics over a data set; the number of batches, 0 where there is no batch norm. */
  recalibrate(dataset: NativeDataset, options: NativeLoopOptions, call: NativeCall): Promise<number>;
  /** The same with one batch, numbered from 0; whether there is a batch norm. */
  recalibrateBatch(
    args: unknown[],
    kwargs: Record<string, unknown>,
    batch: number,
    call: NativeCall,
  ): Promise<boolean>;
  close(): void;
}

/** A decoded image, and what to make of it. Lengths are in pixels. */
export interface NativeResize {
  width: number;
  height: number;
  /** 1 (grey) or 3 */
  channels: number;
  /** Of the resized image, of which a square is cut out. */
  columns: number;
  rows: number;
  left: number;
  top: number;
  side: number;
  filter: "bilinear" | "bicubic";
}

export interface NativeAddon {
  init(classes: { TorchSearchError: typeof TorchSearchError }): void;
  versions(): { torch: string; napi: number; cuda: boolean };
  /** Threads LibTorch uses inside one operator, from the next job on. */
  setThreads(count: number): void;
  getThreads(): number;
  /** Bytes of a device's memory that LibTorch's allocator holds; null for the CPU. ERR_DEVICE. */
  deviceMemory(
    device: string,
  ): { allocated: number; peakAllocated: number; reserved: number; peakReserved: number } | null;
  resetDeviceMemoryPeak(device: string): void;
  /** Whether evaluated models may be captured as graphs of kernels. */
  setGraphCapture(on: boolean): void;
  /** Whether they may, and whether LibTorch can capture on that device. ERR_DEVICE. */
  graphCapture(device: string): { on: boolean; offered: boolean };

  CancelToken: new () => NativeCancelToken;
  Tensor: {
    new (...args: never): NativeTensor;
    from(view: ArrayBufferView, shape: readonly number[], dtype: string): NativeTensor;
  };
  Module: {
    new (...args: never): NativeModule;
    load(path: string, options: NativeLoadOptions, call: NativeCall): Promise<NativeModule>;
  };
  SearchSpace: {
    new (...args: never): NativeSearchSpace;
    /** Leaves the channels in the order they have; see `reorder`. */
    convert(
      module: NativeModule,
      args: unknown[],
      kwargs: Record<string, unknown>,
      options: NativeSpaceOptions,
      call: NativeCall,
    ): Promise<NativeSearchSpace>;
  };
  QuantizationSpace: {
    new (...args: never): NativeQuantizationSpace;
    convert(
      module: NativeModule,
      args: unknown[],
      kwargs: Record<string, unknown>,
      options: { formats: NativeLayerFormat[]; groupSharedInputs: boolean },
      call: NativeCall,
    ): Promise<NativeQuantizationSpace>;
  };
  /** Rounds a tensor to a format, calibrated on itself. */
  fakeQuantize(
    tensor: NativeTensor,
    format: NativeNumberFormat,
    axis: number,
    call: NativeCall,
  ): Promise<{ values: NativeTensor; scale: NativeTensor; zeroPoint: NativeTensor | null }>;
  SparseSpace: {
    new (...args: never): NativeSparseSpace;
    convert(
      module: NativeModule,
      args: unknown[],
      kwargs: Record<string, unknown>,
      call: NativeCall,
    ): Promise<NativeSparseSpace>;
  };
  /** Resizes as Pillow does, on libuv's threads: `[height, width, channels]` in, `[side, side, 3]` out. */
  resizeAndCrop(pixels: Uint8Array, sizes: NativeResize): Promise<Uint8Array>;
  /**
   * A batch of images `[side, side, 3]`, `[N, 3, side, side]` float32, made on libuv's threads.
   * @param table what each level of each colour becomes, 3 x 256
   */
  normalizeImages(images: Uint8Array[], side: number, table: Float32Array): Promise<NativeTensor>;
  Dataset: {
    new (tensors: NativeTensor[], options: NativeDatasetOptions): NativeDataset;
    fromTensors(tensors: NativeTensor[], options: NativeDatasetOptions): NativeDataset;
  };
  /** ERR_CONFIG_VALUE for a name or loss that does not exist. */
  Importance: new (
    name: string,
    options?: NativeImportanceOptions,
  ) => NativeImportance;
  Trainer: {
    new (...args: never): NativeTrainer;
    create(module: NativeModule, options: NativeTrainOptions, call: NativeCall): Promise<NativeTrainer>;
    /** Trains the shared weights of a space by the sandwich rule. ERR_CHOICE */
    createSupernet(
      space: NativeSearchSpace,
      options: NativeTrainOptions & { random: number; smallest: NativeWidths },
      call: NativeCall,
    ): Promise<NativeTrainer>;
  };
  Score: new (kind: NativeScoreKind, options?: { k?: number }) => NativeScore;

  evaluate(
    model: NativeForwardable,
    dataset: NativeDataset,
    score: NativeScore,
    options: NativeEvaluateOptions,
    call: NativeCall,
  ): Promise<NativeLoopResult & { value: number; bound?: number }>;
  forwardAll(
    model: NativeForwardable,
    dataset: NativeDataset,
    options: NativeLoopOptions,
    call: NativeCall,
  ): Promise<NativeLoopResult>;
  scoreBatch(
    model: NativeForwardable,
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor | null,
    score: NativeScore,
    options: { teacher?: NativeForwardable },
    call: NativeCall,
  ): Promise<void>;
  profile(
    module: NativeModule,
    args: unknown[],
    kwargs: Record<string, unknown>,
    options: NativeProfileOptions,
    call: NativeCall,
  ): Promise<NativeProfile>;
}

/** The addon; loaded, together with LibTorch, at the first call. */
export function addon(): NativeAddon {
  return loadNative<NativeAddon>();
}
