import type { NativeCall } from "./call";
import type { NativeDataset } from "./dataset";
import type { NativeLoopOptions } from "./evaluate";
import type { NativeStoreOptions } from "./group-store";
import type { NativeForwardable, NativeModule } from "./module";
import type { NativeOutputView, NativeTeacherView } from "./score";
import type { NativeSearchSpace, NativeWidths } from "./search-space";
import type { NativeNamedTensor, NativeTensor } from "./tensor";

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
  /** Parts that each batch is cut into, and learned in by itself; default 1. */
  dataShards?: number;
  loss?: string;
  labelSmoothing?: number;
  /** The share of the teacher in the loss. */
  alpha?: number;
  temperature?: number;
  teacher?: NativeForwardable;
  /** Where it has kinds, all tensors of the outputs are compared with the teacher's. */
  teacherView?: NativeTeacherView;
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

/** A trainer's place among those of other processes, which run the same steps. */
export interface NativeExchangePlace {
  rank: number;
  ranks: number;
  /** The beginning of the keys of what is exchanged. */
  prefix: string;
  /** The key that says why the others can't go on. */
  ended: string;
  /** With a rank's number behind it: where that rank counts its signs of life. */
  beats: string;
  /** Likewise: where it says that it has left. */
  left: string;
  /** Milliseconds. */
  lease: number;
}

/** Changes a module's weights in place. A step that fails changes none. */
export interface NativeTrainer {
  /** From now on shares the shards of each batch with other processes, over a connection of its own to their store. */
  share(store: NativeStoreOptions, place: NativeExchangePlace, call: NativeCall): Promise<void>;
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
  /** How outputs are read from now on. */
  readOutputs(view: NativeOutputView): void;
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

export interface NativeSupernetOptions extends NativeTrainOptions {
  /** Drawn subnets a step. */
  random: number;
  smallest: NativeWidths;
}

/** Exported by native/binding/trainer.cpp. */
export interface TrainerExports {
  Trainer: {
    new (...args: never): NativeTrainer;
    create(module: NativeModule, options: NativeTrainOptions, call: NativeCall): Promise<NativeTrainer>;
    /** Trains the shared weights of a space by the sandwich rule. ERR_CHOICE */
    createSupernet(
      space: NativeSearchSpace,
      options: NativeSupernetOptions,
      call: NativeCall,
    ): Promise<NativeTrainer>;
  };
}
