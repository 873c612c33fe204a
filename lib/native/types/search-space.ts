import type { NativeCall } from "./call";
import type { NativeDataset } from "./dataset";
import type { NativeLoopOptions, NativeLoopResult } from "./evaluate";
import type { NativeImportance, NativeMeasure } from "./importance";
import type { NativeLatencyOperator, NativeTimingOptions } from "./latency-table";
import type { NativeForwardable, NativeModule } from "./module";
import type { NativeRecipe } from "./recipe";
import type { NativeReconstructedLayer, NativeReconstruction } from "./reconstruction";
import type { NativeTensor } from "./tensor";

/** The thing that a hyperparameter counts. */
export type NativeHyperparameterKind = "outChannels" | "hiddenWidth" | "numHeads" | "depth";

/** A width that can be chosen, or whether a residual block is there. */
export interface NativeHyperparameter {
  /** A width: path of the first module whose output it is, such as `layer1.0.conv1`. A block: its path and `.depth`. */
  name: string;
  kind: NativeHyperparameterKind;
  /** Ascending; the last one is the full width. 0 and 1 for `depth`. */
  choices: number[];
  full: number;
  /** How many channels one of a width stands for, such as a head's; 1 for `depth`. */
  channels: number;
  /** Place, in the order of execution, of the first operator that it changes. */
  begins: number;
}

/** What kept activations have saved so far; see `SearchSpace.reuse`. */
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

/** A number that an operator of the graph is given, and that decides no size or shape. */
export interface NativeGraphConstant {
  /**
   * Path of the module, operator and argument: `layer1.0.act.leaky_relu.negative_slope`. Later calls of the same name
   * end in `#2` and so on, in the order of execution.
   */
  name: string;
  /** Such as `aten::leaky_relu`. */
  operator: string;
  /** The argument's name in the operator's schema. */
  argument: string;
  type: "float" | "int" | "bool";
  /** The model's own value; 0 or 1 for a `bool`. */
  value: number;
}

/** A hyperparameter of the user's own, after it was added. */
export interface NativeAddedHyperparameter {
  /** The first operator that it changes. */
  begins: number;
  /** The model's own number; null for tensors. */
  own: number | null;
  /** The other numbers, each once, in the order given; none for tensors. */
  numbers: number[];
}

/** A dimension of a parameter that stays whole, and why; or a residual block. */
export interface NativeUnprunable {
  /** Or the block's path. */
  parameter: string;
  /** -1 for a block. */
  dimension: number;
  reason: string;
}

export interface NativeSpaceOptions {
  /** Widths are multiples of it where the full width allows; a whole number of at least 1. */
  channelDivisor: number;
  /** Whether residual blocks may be left out; default true. */
  depth?: boolean;
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
  /** Sentences about what exported subnets may be without. */
  exportLosses(): string[];
  /** The module's methods beside forward and what it calls. */
  ownMethods(): string[];
  /** The constants that `addNumbers` may change. */
  constants(): NativeGraphConstant[];
  /**
   * Adds a choice among tensors in the place of a parameter or buffer. Its values are positions among them, and one
   * past the last stands for the model's own. `original`: whether the tensors are in the order of channels before the
   * conversion. ERR_UNKNOWN_TENSOR, ERR_HYPERPARAMETER, ERR_DATA_DEPENDENT
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
   * ERR_CHOICE when a width is not one of its choices.
   */
  select(widths: NativeWidths): void;
  /**
   * `params`, `macs`, `flops`, `size` (bytes), `memory` (bytes) or `latency` (milliseconds) of a subnet, which doesn't
   * run.
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
  /** The operators that `latency` is computed from; null for none. ERR_LATENCY_TABLE_INCOMPLETE */
  useLatencyTable(operators: NativeLatencyOperator[] | null): void;
  /** Adds a batch to a measure, running the whole model on it. */
  measure(
    measure: NativeMeasure,
    args: unknown[],
    kwargs: Record<string, unknown>,
    target: NativeTensor | null,
    call: NativeCall,
  ): Promise<void>;
  /** As `measure`, on a whole data set; `target` is the position, in a batch, of the target, or -1 for none. */
  measureAll(
    measure: NativeMeasure,
    dataset: NativeDataset,
    options: NativeLoopOptions & { target: number },
    call: NativeCall,
  ): Promise<NativeLoopResult>;
  /** What each hyperparameter's channels run through, the same text for layers that are alike; "" without channels. */
  structures(): string[];
  /**
   * Scores by hyperparameter, in the order that the channels have now; `absolute` ones compare over hyperparameters
   * (`taylor` only).
   */
  scores(importance: NativeImportance, absolute: boolean, call: NativeCall): Promise<number[][]>;
  /** Puts the channels in descending order of their scores, in place; a digest of the order. */
  reorder(importance: NativeImportance, call: NativeCall): Promise<string>;
  /** Puts them back into the order that the module had before, exactly. */
  restoreOrder(call: NativeCall): Promise<void>;
  /** Finds the layers that the active subnet narrows. */
  findNarrowedLayers(reconstruction: NativeReconstruction, call: NativeCall): Promise<void>;
  /**
   * Gives the active subnet weights of its own in the layers whose inputs were gathered, until another one is selected.
   * ERR_BUSY where that has happened already, ERR_EMPTY_LOADER
   */
  reconstruct(
    reconstruction: NativeReconstruction,
    damping: number,
    call: NativeCall,
  ): Promise<NativeReconstructedLayer[]>;
  /** The active subnet as a module of its own, with copied, smaller weights. */
  exportSubnet(call: NativeCall): Promise<NativeModule>;
  /** How the active subnet comes of the model. ERR_RECIPE */
  recipe(call: NativeCall): Promise<NativeRecipe>;
  /** A handle of the module whose weights it shares, of its own; don't close it, which would close the module. */
  module(): NativeModule;
  /** Lets go of the module, and leaves it open. */
  close(): void;
}

/** Exported by native/binding/search_space.cpp. */
export interface SearchSpaceExports {
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
}
