/** The parts of a profile. */
import type { ProgressListener } from "../util/progress";
import type { MetricOf } from "./metrics";

/** A metric of {@link profile}. All but `latency` come from one forward pass. */
export type ProfileMetric = MetricOf<"profile">;

/** Options of {@link profile}. */
export interface ProfileOptions {
  /**
   * The metrics to measure; default all. Without `latency` nothing is timed, and the profile's `latency` is null. The
   * other metrics come together at no extra cost, so a profile always has them.
   */
  metrics?: readonly ProfileMetric[];
  /** Forward passes before the first timed one; default 3. */
  warmup?: number;
  /** Timed forward passes; default 20. At most 10 more are run to time each operator. */
  repeats?: number;
  /** LibTorch's threads within an operator while timing; null (the default) for as many as it uses otherwise. */
  threads?: number | null;
  /** Stops the profile with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
  /** Called for every forward pass; phases are `record`, `latency` and `operators`. */
  onProgress?: ProgressListener | null;
}

/** Defaults of {@link ProfileOptions}, and the operators that a printed profile shows. */
export const PROFILE_DEFAULTS = { warmup: 3, repeats: 20, top: 15 } as const;

/** {@link ProfileOptions} with every default filled in. */
export type CompleteProfileOptions = {
  [Key in keyof ProfileOptions]-?: Exclude<ProfileOptions[Key], undefined>;
};

/** Wall-clock time of whole forward passes without gradients, in milliseconds. Quantiles interpolate linearly. */
export interface LatencyProfile {
  /** Milliseconds, as all values up to `p99`. */
  median: number;
  /** Milliseconds. */
  mean: number;
  /** Milliseconds. */
  min: number;
  /** Milliseconds. */
  max: number;
  /** Milliseconds that 10 % of the passes take at most. */
  p10: number;
  /** The median again. */
  p50: number;
  /** Milliseconds that 90 % of the passes take at most. */
  p90: number;
  /** Milliseconds that 99 % of the passes take at most. */
  p99: number;
  /** Passes before the first timed one. */
  warmup: number;
  /** Timed passes. */
  runs: number;
  /** LibTorch's threads within an operator. */
  threads: number;
}

/** One tensor operator that ran. */
export interface OperatorProfile {
  /** Path of the parameter it uses (`layer1.0.conv1` for `layer1.0.conv1.weight`), else of the submodule it is in. */
  name: string;
  /** The operator, for example `aten::conv2d`. */
  op: string;
  /** Shapes of its tensor arguments, parameters included, in the order of its schema. */
  inputShapes: number[][];
  /** Shapes of the tensors that it returns. */
  outputShapes: number[][];
  /** Elements of the parameters that it is the first to use. */
  params: number;
  /** Multiply-adds, as PyTorch's FlopCounterMode counts them. */
  macs: number;
  /** 2 x `macs`. */
  flops: number;
  /** Median milliseconds, timed one by one; null when latency was not measured. */
  latencyMs: number | null;
}

/** The costs of a model on inputs of one shape. */
export interface Profile {
  /** Elements of all parameters, shared ones counted once, unused ones too. */
  params: number;
  /** Multiply-adds of one forward pass. */
  macs: number;
  /** 2 x `macs`, as PyTorch's FlopCounterMode counts. */
  flops: number;
  /** Bytes of all parameters and buffers, shared memory counted once. */
  size: number;
  /**
   * Bytes of parameters, buffers, inputs, constants and activations at the peak of a forward pass, as PyTorch's
   * interpreter of TorchScript frees them: each after the last operator that reads it. The working memory of an
   * operator is not counted.
   */
  memory: number;
  /** Null when it was not measured. */
  latency: LatencyProfile | null;
  /** Every tensor operator that ran, in order. */
  operators: OperatorProfile[];
  /** Where it ran, for example `cpu`. */
  device: string;
  /** Sentences on the limits of these numbers. */
  notes: string[];
}
