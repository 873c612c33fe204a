import { describe, isRecord } from "./check";

/** A value that JSON can hold. */
export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue };

const LONGEST_LIST = 1000;

/** A value in a form that JSON can hold: functions, loaders, tensors and very long lists are described. */
export function plainValue(value: unknown): PlainValue {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value) && value.length <= LONGEST_LIST) return value.map(plainValue);
  return isRecord(value) ? plainRecord(value) : describe(value);
}

/** As {@link plainValue}, for a record; keys whose value is undefined are left out. */
export function plainRecord(record: Readonly<Record<string, unknown>>): Record<string, PlainValue> {
  const given = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [key, plainValue(value)]));
}
