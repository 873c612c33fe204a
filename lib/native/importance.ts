/** Making native measures of importance. */
import { addon } from "./addon";
import type { NativeImportance, NativeImportanceOptions } from "./types/importance";

/** @throws `ERR_CONFIG_VALUE` for a name or loss that does not exist */
export function makeImportance(name: string, options: NativeImportanceOptions): NativeImportance {
  return new (addon().Importance)(name, options);
}
