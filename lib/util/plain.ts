import { describe, isRecord } from "./check";

/** What JSON can say. */
export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue };

const LONGEST_LIST = 1000;

/** A value as JSON can say it: functions, loaders, tensors and very long lists are named by their type. */
export function plainValue(value: unknown): PlainValue {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value) && value.length <= LONGEST_LIST) return value.map(plainValue);
  return isRecord(value) ? plainRecord(value) : describe(value);
}

/** As {@link plainValue}, of a record; a key whose value is undefined is left out. */
export function plainRecord(record: Readonly<Record<string, unknown>>): Record<string, PlainValue> {
  const given = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [key, plainValue(value)]));
}
