/** Making native spaces of sparse weights. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeInputs, NativeModule } from "./types/module";
import type { NativeSparseSpace } from "./types/sparse-space";

/** A copy of a module whose weights can be made sparse. */
export function makeSparseSpace(
  module: NativeModule,
  { args, kwargs }: NativeInputs,
  { signal, onProgress }: CallControl,
): Promise<NativeSparseSpace> {
  return callNative((call) => addon().SparseSpace.convert(module, args, kwargs, call), signal, onProgress);
}
