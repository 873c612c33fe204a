/** How options of the command are read. */

import type { Constraints, ConstraintValue } from "../contract/types";
import { TorchSearchError } from "../errors";

/** An option that can't be: the command ends with exit code 2. */
export function badOption(message: string): TorchSearchError {
  return new TorchSearchError("ERR_CLI_OPTION", message);
}

/** A whole number given as an option. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw badOption(`"${text}" is no whole number.`);
  return value;
}

/** A number given as an option; its range is left to whoever takes it. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw badOption(`"${text}" is no number.`);
  return value;
}

/** A whole number of at least 1 given as an option. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw badOption(`"${text}" is not at least 1.`);
  return value;
}

/** `20%` or `0.2`. */
export function share(text: string): number {
  const match = /^([\d.]+)(%?)$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) / (match[2] === "%" ? 100 : 1);
  if (!(value > 0 && value < 1)) throw badOption(`"${text}" is no share between 0 and 1: write 20% or 0.2.`);
  return value;
}

/** `0.485,0.456,0.406`: a number for red, green and blue, or one for all three. */
export function colors(text: string): number[] {
  const values = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (!values.every(Number.isFinite) || (values.length !== 1 && values.length !== 3))
    throw badOption(
      `"${text}" is no colour: write three numbers, such as 0.485,0.456,0.406, or one for all.`,
    );
  return values.length === 3 ? values : [values[0], values[0], values[0]].map(Number);
}

/** Adds an option's values to those given before: `--data a --data b` and `--data a b` are the same. */
export function collected(text: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), text];
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** `flops=60%`, `params=2.5M`, `size=10MiB` or `macs=1e9`, added to the constraints read before. */
export function constraint(text: string, earlier: Constraints | undefined): Constraints {
  const match = /^([A-Za-z][\w.]*)\s*(?:<=|=)\s*(.+)$/.exec(text.trim());
  if (match === null) {
    throw badOption(`"${text}" is no constraint: write flops=60%, params=2.5M, macs=1e9 or size=10MiB.`);
  }
  const [, metric = "", value = ""] = match;
  return { ...earlier, [metric]: bound(value) };
}

function bound(text: string): ConstraintValue {
  const match = /^([\d.]+(?:e[+-]?\d+)?)\s*(k|M|G|T|KiB|MiB|GiB)?$/i.exec(text);
  // What is no number, such as a percentage, is left to the search, which says what is wrong with it.
  if (match === null) return text;
  const [, digits = "", unit = ""] = match;
  const factor = UNITS[unit];
  if (factor === undefined) {
    throw badOption(`"${text}" has an unknown unit: write k, M, G or T, or KiB, MiB or GiB for bytes.`);
  }
  return Number(digits) * factor;
}

/** `numIters=200`: a key and a value, which is JSON or else text; added to those read before. */
export function assignment(
  text: string,
  earlier: Record<string, unknown> | undefined,
): Record<string, unknown> {
  const at = text.indexOf("=");
  if (at < 1) throw badOption(`"${text}" sets nothing: write KEY=VALUE, such as numIters=200.`);
  const value = text.slice(at + 1);
  let parsed: unknown = value;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Text needs no quotes.
  }
  return { ...earlier, [text.slice(0, at)]: parsed };
}
