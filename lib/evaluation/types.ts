/** The types that a model, its data and its scores agree on. */
import type { ProgressListener } from "../util/progress";

/**
 * What a searcher can search: anything that runs forward and has a training mode. `Module` and `SearchSpace` are
 * such models; a plain object in a test may be one too.
 */
export interface SearchModel {
  /** Whether the model is in training mode. */
  readonly training: boolean;
  /**
   * Runs the model. Arguments follow `torch.onnx.export`'s `args`: a plain record in last place holds keyword
   * arguments; to pass a record as the last positional argument, append an empty one.
   */
  forward(...inputs: unknown[]): Promise<unknown>;
  /** As `forward`, with positional and keyword arguments apart, and a signal that stops it. */
  forwardWith?(
    args: readonly unknown[],
    kwargs?: Readonly<Record<string, unknown>>,
    options?: { signal?: AbortSignal | null },
  ): Promise<unknown>;
  /** Switches to training mode, or to evaluation mode with `false`. */
  train(on?: boolean): unknown;
  /** Switches to evaluation mode. */
  eval(): unknown;
  /** Identifies graph and weights, so that a checkpoint of another model is refused. */
  fingerprint(options?: { signal?: AbortSignal | null }): Promise<string>;
  /**
   * Remembers whatever a search changes besides training mode (the selected subnet of a search space) and gives
   * back a function that restores it. Called before a search; the function runs when the search fails or is aborted.
   */
  captureState?(): () => void | Promise<void>;
}

/** What is handed to user callbacks that run for long: how to stop, and how to report. */
export interface RunContext {
  /** Ends the work with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
  /** True when nothing may be drawn on the terminal. Events are sent all the same. */
  silent?: boolean;
  /** For score functions: when the score is of no more use; null or left out for never. They may ignore it. */
  stop?: StopRule | null;
}

/**
 * When a pass over data may stop before its end, because the score can't matter any more. A score function that makes use of
 * it calls `onStop` and gives an upper bound, below `below`, on what the whole pass would have given.
 */
export interface StopRule {
  /** Scores below this are of no use. */
  below: number;
  /**
   * 0: stop only when it is certain. Otherwise a probability, at most, with which a pass over randomly ordered samples that
   * would have reached `below` is stopped.
   */
  errorProbability: number;
  /**
   * Told when a pass was stopped.
   *
   * @param samples how many the score had seen
   */
  onStop(samples: number): void;
}

/** Runs the model over data for its side effects, such as batch-norm recalibration or recording activations. */
export type ForwardLoop = (model: SearchModel, context?: RunContext) => void | Promise<void>;

/** Rates a model; the higher, the better. */
export type ScoreFunction = (model: SearchModel, context?: RunContext) => number | Promise<number>;

/** The loss of one batch, the lower the better, for searchers that look at losses or gradients. */
export type LossFunction = (output: unknown, batch: unknown) => unknown;

/** Picks the model's inputs out of a batch; the result follows the convention of {@link SearchModel.forward}. */
export type CollectFunction = (batch: never) => unknown;

/** Called with a batch's output and the batch itself after each forward; both are released afterwards. */
export type PostProcessFunction = (output: unknown, batch: unknown) => void | Promise<void>;
