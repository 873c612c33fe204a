/** Says what exports are without, in a place that users of the command and of the library see. */
import type { NativeModule } from "../native/types/module";
import type { NativeSearchSpace } from "../native/types/search-space";
import { warn } from "../util/warning";

/** Gives a sentence as a process warning. */
export function warnOfLoss(sentence: string): void {
  warn(sentence, "EXPORT_LOSES");
}

/** Names the methods that an exported subnet is without. */
export function warnOfLostMethods(space: NativeSearchSpace, subnet: NativeModule): void {
  const kept = new Set(subnet.methods());
  for (const name of space.ownMethods()) {
    if (kept.has(name)) continue;
    warnOfLoss(`The exported subnet is without the method '${name}', which uses weights that were narrowed.`);
  }
}
