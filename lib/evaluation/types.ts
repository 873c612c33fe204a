/** The types that models, their data and their scores have in common. */
import type { ProgressListener } from "../util/progress";

/**
 * A model that can be searched: it runs forward and has a training mode. `Module` and `SearchSpace` are such models; a
 * plain object in a test may be one too.
 */
export interface SearchModel {
  /** Whether the model is in training mode. */
  readonly training: boolean;
  /**
   * Runs the model. Arguments follow `torch.onnx.export`'s `args`: a plain record in the last place holds keyword
   * arguments. To pass a record as the last positional argument, append an empty one.
   */
  forward(...inputs: unknown[]): Promise<unknown>;
  /** As `forward`, but with separate positional and keyword arguments, and a signal that stops it. */
  forwardWith?(
    args: readonly unknown[],
    kwargs?: Readonly<Record<string, unknown>>,
    options?: { signal?: AbortSignal | null },
  ): Promise<unknown>;
  /** Switches to training mode, or to evaluation mode with `false`. */
  train(on?: boolean): unknown;
  /** Switches to evaluation mode. */
  eval(): unknown;
  /** Identifies graph and weights, so that a checkpoint of another model can be refused. */
  fingerprint(options?: { signal?: AbortSignal | null }): Promise<string>;
  /**
   * Remembers everything that a search changes besides the training mode, such as the selected subnet of a search
   * space, and returns a function that restores it. It is called before a search; the function runs if the search fails
   * or is aborted.
   */
  captureState?(): () => void | Promise<void>;
}

/** Passed to user functions that run for long: how to stop, and how to report progress. */
export interface RunContext {
  /** Ends the work with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
  /** True when nothing may be drawn on the terminal. Events are sent all the same. */
  silent?: boolean;
  /** For score functions: when the score is no longer useful; null or undefined for never. They may ignore it. */
  stop?: StopRule | null;
}

/**
 * When a pass over data may stop before its end, because the score can't matter any more. A score function that stops
 * calls `onStop`, and returns an upper bound of the whole pass's score. The bound must be below `below`.
 */
export interface StopRule {
  /** Scores below this are not useful. */
  below: number;
  /**
   * 0: stop only when it is certain that the score can't reach `below`. Otherwise the largest probability with which a
   * pass over randomly ordered samples may be stopped although it would have reached `below`.
   */
  errorProbability: number;
  /**
   * Called when a pass was stopped.
   *
   * @param samples the number of samples that the score had seen
   */
  onStop(samples: number): void;
}

/** Runs the model over data for its side effects, such as batch-norm recalibration or recording activations. */
export type ForwardLoop = (model: SearchModel, context?: RunContext) => void | Promise<void>;

/** Rates a model; higher is better. */
export type ScoreFunction = (model: SearchModel, context?: RunContext) => number | Promise<number>;

/**
 * The loss of one batch; lower is better. It is for searchers that need a loss per batch; the built-in ones take losses
 * by name.
 */
export type LossFunction = (output: unknown, batch: unknown) => unknown;

/** Picks the model's inputs out of a batch; the result follows the convention of {@link SearchModel.forward}. */
export type CollectFunction = (batch: never) => unknown;

/** Called with a batch's output and the batch itself after each forward; both are released afterwards. */
export type PostProcessFunction = (output: unknown, batch: unknown) => void | Promise<void>;
