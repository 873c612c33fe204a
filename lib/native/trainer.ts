/** Making native trainers. */
import { addon } from "./addon";
import { type CallControl, callNative } from "./call";
import type { NativeModule } from "./types/module";
import type { NativeSearchSpace } from "./types/search-space";
import type { NativeSupernetOptions, NativeTrainer, NativeTrainOptions } from "./types/trainer";

/** A trainer of a module's weights. */
export function createTrainer(
  module: NativeModule,
  options: NativeTrainOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeTrainer> {
  return callNative((call) => addon().Trainer.create(module, options, call), signal, onProgress);
}

/** A trainer of the weights that all subnets of a space share. */
export function createSupernetTrainer(
  space: NativeSearchSpace,
  options: NativeSupernetOptions,
  { signal, onProgress }: CallControl,
): Promise<NativeTrainer> {
  return callNative((call) => addon().Trainer.createSupernet(space, options, call), signal, onProgress);
}
