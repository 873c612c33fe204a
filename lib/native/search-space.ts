/** Making native search spaces. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeInputs, NativeModule } from "./types/module";
import type { NativeSearchSpace, NativeSpaceOptions } from "./types/search-space";

/** A space of a module's widths and blocks; the channels keep their order. */
export function makeSearchSpace(
  module: NativeModule,
  { args, kwargs }: NativeInputs,
  options: NativeSpaceOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeSearchSpace> {
  return callNative(
    (call) => addon().SearchSpace.convert(module, args, kwargs, options, call),
    signal,
    onProgress,
  );
}
