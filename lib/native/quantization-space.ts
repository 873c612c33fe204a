/** Making native quantization spaces. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeInputs, NativeModule } from "./types/module";
import type { NativeQuantizationOptions, NativeQuantizationSpace } from "./types/quantization-space";

/** A space of the number formats of a module's layers. */
export function makeQuantizationSpace(
  module: NativeModule,
  { args, kwargs }: NativeInputs,
  options: NativeQuantizationOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeQuantizationSpace> {
  return callNative(
    (call) => addon().QuantizationSpace.convert(module, args, kwargs, options, call),
    signal,
    onProgress,
  );
}
