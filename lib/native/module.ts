/** Loading native modules. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeLoadOptions, NativeModule } from "./types/module";

/** Loads a TorchScript file. */
export function loadModule(
  file: string,
  options: NativeLoadOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeModule> {
  return callNative((call) => addon().Module.load(file, options, call), signal, onProgress);
}
