/** Loading native modules. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeInputs, NativeLoadOptions, NativeModule } from "./types/module";

/** Loads a TorchScript file or an exported program. */
export function loadModule(
  file: string,
  options: NativeLoadOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeModule> {
  return callNative((call) => addon().Module.load(file, options, call), signal, onProgress);
}

/** The inputs with which an exported program was made; null where its file keeps none. */
export function readSampleInputs(
  file: string,
  options: NativeLoadOptions,
  { signal }: CallControl,
): Promise<NativeInputs | null> {
  return callNative((call) => addon().Module.sampleInputs(file, options, call), signal);
}
