import { describe, isRecord } from "./check";
import { MAX_JSON_DEPTH } from "./json-depth";

/** A value that JSON can hold. */
export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue };

const LONGEST_LIST = 1000;

/**
 * A value in a form that JSON can hold: functions, loaders, tensors, very long lists, and what contains itself or lies
 * too deep, are described.
 */
export function plainValue(value: unknown): PlainValue {
  return plainWithin(value, []);
}

/** @param around the lists and records that the value lies in */
function plainWithin(value: unknown, around: readonly unknown[]): PlainValue {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (around.length >= MAX_JSON_DEPTH / 2 || around.includes(value)) return describe(value);
  if (Array.isArray(value) && value.length <= LONGEST_LIST) {
    const inside = [...around, value];
    return value.map((each) => plainWithin(each, inside));
  }
  return isRecord(value) ? recordWithin(value, around) : describe(value);
}

/** As {@link plainValue}, for a record; keys whose value is undefined are left out. */
export function plainRecord(record: Readonly<Record<string, unknown>>): Record<string, PlainValue> {
  return recordWithin(record, []);
}

function recordWithin(
  record: Readonly<Record<string, unknown>>,
  around: readonly unknown[],
): Record<string, PlainValue> {
  const inside = [...around, record];
  const given = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [key, plainWithin(value, inside)]));
}
