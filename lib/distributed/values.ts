/** Values as the group's store holds them: JSON that keeps every number as it is. */
import { TorchSearchError } from "../errors";
import { isRecord } from "../util/check";

/** JSON knows neither NaN nor infinities, and forgets the sign of -0. */
export function encodeValue(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "number" && (!Number.isFinite(each) || Object.is(each, -0))
      ? { $number: Object.is(each, -0) ? "-0" : String(each) }
      : each,
  );
}

/**
 * The record that {@link encodeValue} was given, with these keys.
 *
 * @throws `ERR_GROUP_MISMATCH` for anything else: whoever reaches the store's port can write there
 */
export function decodeValue<T extends object>(text: string, ...keys: readonly (keyof T & string)[]): T {
  let value: unknown;
  try {
    value = JSON.parse(text, (_, each: unknown) =>
      typeof each === "object" && each !== null && "$number" in each ? Number(each.$number) : each,
    );
  } catch (error) {
    throw foreignValue(text, error);
  }
  if (!isRecord(value) || keys.some((key) => !Object.hasOwn(value, key))) throw foreignValue(text);
  return value as T;
}

/** What is said of a value that no rank writes. */
export function foreignValue(text: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_GROUP_MISMATCH",
    `The group's store holds ${JSON.stringify(text.slice(0, 60))}, which no rank of this version writes: look for another ` +
      "program that uses the port, and choose another one (MASTER_PORT).",
    { cause },
  );
}
