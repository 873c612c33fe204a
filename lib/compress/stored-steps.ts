/** Steps as a checkpoint holds them, which anyone may have written. */

import type { TriedImportance } from "../space/importance";
import { IMPORTANCES, type Importance } from "../space/importance";
import { isPositiveInteger, isRecord } from "../util/check";
import type { StepEnd, StepRecord } from "./plan";

type Check = (value: unknown) => boolean;

const finite: Check = Number.isFinite;
const text: Check = (value) => typeof value === "string";
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const numbers: Check = (value) => isRecord(value) && Object.values(value).every(finite);
const numbersOf =
  (...keys: readonly string[]): Check =>
  (value) =>
    numbers(value) && keys.every((key) => Object.hasOwn(value as object, key));

const ENDS: readonly StepEnd[] = ["good", "worse", "failed", "slow"];

/** By field of a record. JSON has null for numbers that are not finite. */
const FIELDS: { readonly [Field in keyof StepRecord]: Check } = {
  step: isPositiveInteger,
  from: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  at: (value) => finite(value) && (value as number) > 0,
  bounds: numbers,
  end: (value) => ENDS.includes(value as StepEnd),
  reason: orNull(text),
  file: orNull(text),
  fingerprint: orNull(text),
  costs: numbers,
  untrained: orNull(finite),
  learningRate: (value) => finite(value) && (value as number) > 0,
  rating: orNull(finite),
  drop: orNull(finite),
  interval: orNull(numbersOf("low", "high")),
  latency: orNull(numbersOf("predicted", "measured", "full")),
  seconds: (value) => finite(value) && (value as number) >= 0,
};

/** The steps in a checkpoint's list. @throws Error that says which one is wrong */
export function storedSteps(list: unknown): StepRecord[] {
  if (!Array.isArray(list)) throw new Error("it has no list of steps");
  return list.map((record: unknown, at) => {
    const wrong = (what: string): Error => new Error(`step ${at + 1} has a wrong ${what}`);
    if (!isRecord(record)) throw wrong("form");
    for (const [field, check] of Object.entries(FIELDS)) if (!check(record[field])) throw wrong(field);
    const step = record as unknown as StepRecord;
    if (step.step !== at + 1) throw wrong("number");
    if (step.from > at) throw wrong("from");
    const model = [step.file, step.fingerprint, step.rating, step.drop];
    if (step.end !== "failed" && model.includes(null)) throw wrong("model");
    return step;
  });
}

/** The measures of importance in a checkpoint, which were tried; null for none. @throws Error where they are no such list */
export function storedImportances(list: unknown): TriedImportance[] | null {
  if (list == null) return null;
  const fits = (each: unknown): boolean =>
    isRecord(each) && IMPORTANCES.includes(each.importance as Importance) && finite(each.score);
  if (!Array.isArray(list) || list.length === 0 || !list.every(fits))
    throw new Error("its list of importances is wrong");
  return list as TriedImportance[];
}

/** The learning rate that a checkpoint has for its next step; null for none. @throws Error where it is none */
export function storedLearningRate(value: unknown): number | null {
  if (value == null) return null;
  if (!finite(value) || (value as number) <= 0) throw new Error("its learning rate is wrong");
  return value as number;
}
