/** Profiling native modules. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeInputs, NativeModule } from "./types/module";
import type { NativeProfile, NativeProfileOptions } from "./types/profile";

/** Runs a module on inputs and counts, and measures where asked to, what it costs. */
export function profileModule(
  module: NativeModule,
  { args, kwargs }: NativeInputs,
  options: NativeProfileOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeProfile> {
  return callNative((call) => addon().profile(module, args, kwargs, options, call), signal, onProgress);
}

/** Only counts: nothing is timed. */
export function countCosts(
  module: NativeModule,
  inputs: NativeInputs,
  control: CallControl,
): Promise<NativeProfile> {
  return profileModule(module, inputs, { latency: false, warmup: 0, repeats: 1, threads: 0 }, control);
}
