/** Values as the group's store holds them: JSON that keeps every number as it is. */

/** JSON knows neither NaN nor infinities, and forgets the sign of -0. */
export function encodeValue(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "number" && (!Number.isFinite(each) || Object.is(each, -0))
      ? { $number: Object.is(each, -0) ? "-0" : String(each) }
      : each,
  );
}

/** What {@link encodeValue} was given. */
export function decodeValue<T>(text: string): T {
  return JSON.parse(text, (_, each: unknown) =>
    typeof each === "object" && each !== null && "$number" in each ? Number(each.$number) : each,
  ) as T;
}
