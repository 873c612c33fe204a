import { TorchSearchError } from "../errors";
import { nativeInputsOf } from "../model/inputs";
import type { Module } from "../model/module";
import { profileModule } from "../native/profile";
import { describe, isPositiveInteger } from "../util/check";
import { suggestion } from "../util/nearest";
import { metricsOf } from "./metrics";
import { PROFILE_DEFAULTS, type Profile, type ProfileOptions } from "./types";

const PROFILE_METRICS = metricsOf("profile");

/**
 * Finds out what a module costs on inputs like `dummyInput`, by running it: parameters, multiply-adds, bytes and
 * latency, of the whole and of each operator. Weights and buffers stay as they are.
 *
 * @param dummyInput one value, an array of arguments, or an array whose last item is a record of keyword arguments;
 *   tensors of the shapes to profile for (their values matter only to models whose control flow looks at them)
 * @throws `ERR_PROFILE_OPTION` for an option that can't be, `ERR_INPUT` for inputs that don't fit, `ERR_FORWARD` when
 *   the model fails on them, `ERR_UNSUPPORTED_GRAPH`, `ERR_CLOSED`, `ERR_ABORTED`
 */
export async function profile(
  module: Module,
  dummyInput: unknown,
  options: ProfileOptions = {},
): Promise<Profile> {
  const settings = readOptions(options);
  const { signal, onProgress } = options;
  const native = await profileModule(module.native, nativeInputsOf(dummyInput), settings, {
    signal,
    onProgress: onProgress
      ? ({ done, total, message }) =>
          onProgress({ phase: message, done, total, message: `profiling: ${message}` })
      : undefined,
  });
  return {
    params: native.params,
    macs: native.macs,
    flops: 2 * native.macs,
    size: native.size,
    memory: native.memory,
    latency: native.latency,
    operators: native.operators.map(({ macs, latencyMs, ...row }) => ({
      ...row,
      macs,
      flops: 2 * macs,
      latencyMs,
    })),
    device: native.device,
    notes: native.notes,
  };
}

function readOptions(options: ProfileOptions): {
  latency: boolean;
  warmup: number;
  repeats: number;
  threads: number;
} {
  const { metrics = PROFILE_METRICS, threads } = options;
  const { warmup = PROFILE_DEFAULTS.warmup, repeats = PROFILE_DEFAULTS.repeats } = options;
  if (!Array.isArray(metrics)) {
    throw refuse(`expected an array for metrics but received ${describe(metrics)}`);
  }
  for (const metric of metrics) {
    if (PROFILE_METRICS.includes(metric)) continue;
    throw refuse(`metrics has no ${describe(metric)}; ${suggestion(String(metric), PROFILE_METRICS)}`);
  }
  if (warmup !== 0 && !isPositiveInteger(warmup)) {
    throw refuse(`expected a whole number of at least 0 for warmup but received ${describe(warmup)}`);
  }
  for (const [name, value] of Object.entries({ repeats, threads })) {
    if (value !== undefined && !isPositiveInteger(value)) {
      throw refuse(`expected a whole number of at least 1 for ${name} but received ${describe(value)}`);
    }
  }
  return { latency: metrics.includes("latency"), warmup, repeats, threads: threads ?? 0 };
}

function refuse(message: string): TorchSearchError {
  return new TorchSearchError("ERR_PROFILE_OPTION", message);
}
