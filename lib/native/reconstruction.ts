/** Making native reconstructions. */
import { addon } from "./addon";
import type { NativeReconstruction } from "./types/reconstruction";

/** One that has found no layers yet. @param keeps whether what it gathers serves one subnet after the other */
export function makeReconstruction(keeps = false): NativeReconstruction {
  return new (addon().Reconstruction)(keeps);
}
