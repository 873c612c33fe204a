import { TorchSearchError } from "../errors";
import { nativeInputsOf } from "../model/inputs";
import type { Module } from "../model/module";
import { profileModule } from "../native/profile";
import { expected, requireOptions } from "../util/check";
import { completeConfig } from "../util/complete-config";
import { type ConfigRule, listOf, orNull, plainRules } from "../util/rules";
import { metricsOf } from "./metrics";
import { type CompleteProfileOptions, PROFILE_DEFAULTS, type Profile, type ProfileOptions } from "./types";

const PROFILE_METRICS = metricsOf("profile");

/**
 * Measures the costs of a module on inputs like `dummyInput`, by running it: parameters, multiply-adds, bytes and
 * latency, of the whole and of each operator. Weights and buffers stay as they are.
 *
 * @param dummyInput one value, an array of arguments, or an array whose last item is a record of keyword arguments;
 *   tensors of the shapes to profile for (their values matter only to models whose control flow looks at them)
 * @throws `ERR_PROFILE_OPTION` for an unknown option or a wrong value, `ERR_INPUT` for inputs that don't fit,
 *   `ERR_FORWARD` when the model fails on them, `ERR_UNSUPPORTED_GRAPH`, `ERR_CLOSED`, `ERR_ABORTED`
 *
 * @example
 * ```ts
 * const { params, flops, latency } = await profile(module, dummyInput, { repeats: 5 });
 * console.log(params, flops, latency?.median);
 * ```
 */
export async function profile(
  module: Module,
  dummyInput: unknown,
  options: ProfileOptions = {},
): Promise<Profile> {
  if (typeof (module as Partial<Module> | null)?.native !== "object")
    throw expected("ERR_ARGUMENT", "a Module", "module", module);
  requireOptions(options, "profile");
  const { metrics, warmup, repeats, threads, signal, onProgress } = readOptions(options);
  const latency = metrics.includes("latency");
  const settings = { latency, warmup, repeats, threads: threads ?? 0 };
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

const DEFAULTS: CompleteProfileOptions = {
  metrics: PROFILE_METRICS,
  warmup: PROFILE_DEFAULTS.warmup,
  repeats: PROFILE_DEFAULTS.repeats,
  threads: null,
  signal: null,
  onProgress: null,
};

const RULES: Readonly<Record<keyof ProfileOptions, ConfigRule>> = {
  metrics: listOf(PROFILE_METRICS),
  warmup: plainRules.nonNegativeInteger,
  repeats: plainRules.positiveInteger,
  threads: orNull(plainRules.positiveInteger),
  signal: orNull(plainRules.signal),
  onProgress: orNull(plainRules.func),
};

function readOptions(options: ProfileOptions): CompleteProfileOptions {
  return completeConfig<CompleteProfileOptions>(options, DEFAULTS, RULES, {
    whole: "options",
    key: "option",
    error: (_, message) => new TorchSearchError("ERR_PROFILE_OPTION", message),
  });
}
