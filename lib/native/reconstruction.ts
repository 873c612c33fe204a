/** Making native reconstructions. */
import { addon } from "./addon";
import type { NativeReconstruction } from "./types/reconstruction";

/** One that has found no layers yet. */
export function makeReconstruction(): NativeReconstruction {
  return new (addon().Reconstruction)();
}
