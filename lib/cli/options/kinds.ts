/** Kinds of option values: how each is read from the command line, and what a settings file may hold for it. */
import path from "node:path";

import { InvalidArgumentError } from "commander";

import type { Constraints, ConstraintValue, Percentage } from "../../contract/types";
import { TorchSearchError } from "../../errors";
import { WIDTH_CONTROL_RULES, type WidthBound } from "../../space/width-control";
import { readRegularTextSync } from "../../util/regular-file";
import { renamed } from "../../util/renamed";
import { type ConfigRule, oneOf, plainRules } from "../../util/rules";
import { say } from "../output";

/** An option with a value that is refused: the command ends with exit code 2. */
export function badOption(message: string): TorchSearchError {
  return new TorchSearchError("ERR_CLI_OPTION", message);
}

/** How values of one kind are read and checked. */
export interface Kind<Value> {
  /**
   * Reads the text after a flag.
   *
   * @param earlier the value so far, when the flag is given several times
   * @throws `ERR_CLI_OPTION`
   */
  read(text: string, earlier: Value | undefined): Value;
  /** The values that a settings file may hold. */
  rule: ConfigRule;
  /** The values that exist, for the help. */
  choices?: readonly string[];
  /** Makes the paths in a value absolute. */
  resolve?(value: Value, absolute: (file: string) => string): Value;
}

/** A switch without a value. */
export const flag: Kind<boolean> = { read: () => true, rule: plainRules.boolean };

export const text: Kind<string> = { read: (value) => value, rule: plainRules.text };

/** A file or folder. */
export const file: Kind<string> = { ...text, resolve: (value, absolute) => absolute(value) };

/** Several values; `--data a --data b` and `--data a b` are the same. */
export const texts: Kind<string[]> = {
  read: (value, earlier) => [...(earlier ?? []), value],
  rule: {
    expected: "a list of names",
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(plainRules.text.accepts),
  },
};

/** Files of data, each as a path or as `name=path`. */
export const dataFiles: Kind<string[]> = {
  ...texts,
  resolve: (value, absolute) => value.map((entry) => resolveEntry(entry, absolute)),
};

/** `name=path` or a path, with the path made absolute. */
function resolveEntry(entry: string, absolute: (file: string) => string): string {
  const match = /^(\w+)=(.+\.npy)$/.exec(entry);
  return match === null ? absolute(entry) : `${match[1]}=${absolute(match[2] as string)}`;
}

/** One of several names. */
export function choice<const Names extends readonly string[]>(names: Names): Kind<Names[number]> {
  return {
    read: (value) => {
      if (names.includes(value)) return value;
      const present = renamed(value, names);
      throw new InvalidArgumentError(
        present === null ? `Allowed choices are ${names.join(", ")}.` : `${present}.`,
      );
    },
    rule: oneOf(names),
    choices: names,
  };
}

/** A whole number of at least 0. */
export const whole: Kind<number> = { read: wholeNumber, rule: plainRules.nonNegativeInteger };

/** A whole number of at least 1. */
export const positive: Kind<number> = {
  read: (value) => {
    const number = wholeNumber(value);
    if (number < 1) throw badOption(`"${value}" is not at least 1.`);
    return number;
  },
  rule: plainRules.positiveInteger,
};

/** Any number; what takes it checks the range. */
export const number: Kind<number> = {
  read: (value) => {
    const parsed = Number(value);
    if (value.trim() === "" || !Number.isFinite(parsed)) throw badOption(`"${value}" isn't a number.`);
    return parsed;
  },
  rule: plainRules.number,
};

/** `20%` or `0.2`. */
export const share: Kind<number> = {
  read: (value) => {
    const parsed = readShare(value);
    if (parsed === null) throw badOption(`"${value}" isn't a share between 0 and 1: write 20% or 0.2.`);
    return parsed;
  },
  rule: { expected: "a share between 0 and 1", accepts: isShare },
};

/** `20%` or `0.2` as a number; null for anything else. */
export function readShare(value: string): number | null {
  const match = /^([\d.]+)(%?)$/.exec(value);
  const parsed = match === null ? Number.NaN : Number(match[1]) / (match[2] === "%" ? 100 : 1);
  return isShare(parsed) ? parsed : null;
}

/** A share, or files of data. */
export const holdouts: Kind<string[]> = {
  ...texts,
  resolve: (value, absolute) =>
    value.map((entry) => (readShare(entry) === null ? resolveEntry(entry, absolute) : entry)),
};

/** `0.485,0.456,0.406`: a number for red, green and blue, or one for all three. */
export const colors: Kind<number[]> = {
  read: (value) => {
    const parts = value.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    if (!parts.every(Number.isFinite) || (parts.length !== 1 && parts.length !== 3))
      throw badOption(
        `"${value}" isn't a colour: write three numbers, such as 0.485,0.456,0.406, or one for all.`,
      );
    return parts.length === 3 ? parts : [parts[0], parts[0], parts[0]].map(Number);
  },
  rule: {
    expected: "three numbers",
    accepts: (value) => Array.isArray(value) && value.length === 3 && value.every(Number.isFinite),
  },
};

/** On the command line a file with one name a line; in a settings file the list of names itself. */
export const namesInFile: Kind<string[]> = { read: readLines, rule: texts.rule };

/** `flops=60%`, `params=2.5M`, `size=10MiB`, `latency=0.2ms` or `macs=1e9`; several add up, and all of them hold. */
export const constraints: Kind<Constraints> = {
  read: (value, earlier) => {
    const match = /^([A-Za-z][\w.]*)\s*(?:<=|=)\s*(.+)$/.exec(value.trim());
    if (match === null) {
      throw badOption(`"${value}" isn't a constraint: write flops=60%, params=2.5M, macs=1e9 or size=10MiB.`);
    }
    const [, metric = "", bound = ""] = match;
    if (/^(top-?\d*)?_?(accuracy|acc|score|loss)$/i.test(metric)) throw noCost(metric);
    const read = metric.startsWith("latency") ? (readTime(bound) ?? readBound(bound)) : readBound(bound);
    const other = (earlier as Record<string, ConstraintValue> | undefined)?.[metric];
    return { ...earlier, [metric]: other === undefined ? read : tightest(metric, other, read) };
  },
  rule: plainRules.record,
};

/** `16`, `25%` or `layer1.*=25%`; several add up. */
export const widthBounds: Kind<Record<string, WidthBound>> = {
  read: (value, earlier) => {
    const at = value.lastIndexOf("=");
    const [glob, bound] = at < 1 ? ["*", value] : [value.slice(0, at), value.slice(at + 1)];
    const read = /%$/.test(bound) ? bound : Number(bound);
    if (bound.trim() === "" || !WIDTH_CONTROL_RULES.minWidth.accepts(read))
      throw badOption(`"${value}" isn't a width: write 16, 25% or layer1.*=25%.`);
    return { ...earlier, [glob]: read as WidthBound };
  },
  rule: WIDTH_CONTROL_RULES.minWidth,
};

/** A whole number of at least 1, or `hardware`. */
export const roundings: Kind<number | "hardware"> = {
  read: (value) => (value === "hardware" ? value : positive.read(value, undefined)),
  rule: WIDTH_CONTROL_RULES.roundTo,
};

/** `conv1,conv2`: names or globs that belong together; several add up. */
export const ties: Kind<string[][]> = {
  // Commas within braces belong to a glob.
  read: (value, earlier) => [...(earlier ?? []), value.split(/,(?![^{]*\})/)],
  rule: WIDTH_CONTROL_RULES.ties,
};

/** `numIters=200`: a key and a value, which is JSON or else text; several add up. */
export const assignments: Kind<Record<string, unknown>> = {
  read: (value, earlier) => {
    const at = value.indexOf("=");
    if (at < 1) throw badOption(`"${value}" sets nothing: write KEY=VALUE, such as numIters=200.`);
    const right = value.slice(at + 1);
    let parsed: unknown = right;
    try {
      parsed = JSON.parse(right);
    } catch {
      // Text needs no quotes.
    }
    return { ...earlier, [value.slice(0, at)]: parsed };
  },
  rule: plainRules.record,
};

function wholeNumber(value: string): number {
  const parsed = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(parsed))
    throw badOption(`"${value}" isn't a whole number.`);
  return parsed;
}

function isShare(value: unknown): boolean {
  return typeof value === "number" && value > 0 && value < 1;
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

/** The score is what a search maximizes, so it can't be bounded. */
function noCost(metric: string): TorchSearchError {
  return badOption(
    `${metric} is no cost: a search finds the best score within bounds on costs, such as flops=60%. To see what each loss ` +
      "of the score saves, search with --searcher pareto, and read the front in its report.",
  );
}

/** Milliseconds of `0.2ms`, `200us` or `1s`; null for anything else. */
function readTime(value: string): number | null {
  const match = /^([\d.]+(?:e[+-]?\d+)?)\s*(us|µs|ms|s)$/i.exec(value);
  if (match === null) return null;
  const [, digits = "", unit = ""] = match;
  const factor = { us: 1e-3, µs: 1e-3, ms: 1, s: 1e3 }[unit.toLowerCase()] ?? 1;
  return Number((Number(digits) * factor).toPrecision(15));
}

function readBound(value: string): ConstraintValue {
  const match = /^([\d.]+(?:e[+-]?\d+)?)\s*(k|M|G|T|KiB|MiB|GiB)?$/i.exec(value);
  // The search itself reads, or refuses, what is not a number, such as a percentage.
  if (match === null) return value as Percentage;
  const [, digits = "", unit = ""] = match;
  const factor = UNITS[unit];
  if (factor === undefined) {
    throw badOption(`"${value}" has an unknown unit: write k, M, G or T, or KiB, MiB or GiB for bytes.`);
  }
  return Number(digits) * factor;
}

/** The tighter one of two bounds of a metric, since both hold. @throws `ERR_CLI_OPTION` for a share and an amount */
function tightest(metric: string, first: ConstraintValue, second: ConstraintValue): ConstraintValue {
  const [one, two] = [first, second].map((bound) =>
    typeof bound === "number"
      ? bound
      : /^[\d.]+%$/.test(String(bound))
        ? Number.parseFloat(String(bound))
        : Number.NaN,
  ) as [number, number];
  if (typeof first !== typeof second || Number.isNaN(one) || Number.isNaN(two)) {
    throw badOption(
      `${metric} is bounded twice, by ${String(first)} and by ${String(second)}, which can't be compared: give one bound.`,
    );
  }
  const kept = one <= two ? first : second;
  say(
    `${metric} is bounded twice, by ${String(first)} and by ${String(second)}; the tighter one holds: ${String(kept)}.`,
  );
  return kept;
}

function readLines(name: string): string[] {
  try {
    return readRegularTextSync(path.resolve(name))
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
  } catch (error) {
    throw badOption(`${name} can't be read: ${(error as Error).message}`);
  }
}
