/** The rules of the config keys that say how outputs are read. */
import { type ConfigRule, oneOf, orNull, plainRules } from "../util/rules";
import type { OutputOptions } from "./output-plan";

/** The rules of `outputKey` and `classDimension`. */
export const OUTPUT_RULES: Record<"outputKey" | "classDimension", ConfigRule> = {
  outputKey: orNull(plainRules.text),
  classDimension: orNull(
    oneOf(["second", "last"] satisfies readonly NonNullable<OutputOptions["classDimension"]>[]),
  ),
};
