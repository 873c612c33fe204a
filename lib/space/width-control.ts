/** What a user may fix of a space of widths: layers, least and greatest widths, rounding, ties. */

import { isRecord } from "../util/check";
import { listed } from "../util/listed";
import { type ConfigRule, orNull, plainRules } from "../util/rules";
import {
  conflict,
  globsRule,
  keptWhole,
  LAYER_CHOICE_RULES,
  type LayerChoice,
  matchesLayer,
  requireMatches,
} from "./layer-choice";
import type { HyperparameterKind } from "./types";

/** A width: a number in the hyperparameter's unit, or a share of the full width, such as `"25%"`. */
export type WidthBound = number | `${number}%`;
/** One bound for all layers, or bounds by glob over names and kinds; where several match, all of them hold. */
export type WidthBounds = WidthBound | Readonly<Record<string, WidthBound>>;

/** The part of a conversion's config that says what may be narrowed, and how far. */
export interface WidthControl extends LayerChoice {
  /** No width below it, but the full one; see {@link WidthBounds}. */
  minWidth?: WidthBounds | null;
  /** No width above it, not even the full one. */
  maxWidth?: WidthBounds | null;
  /**
   * Numbers of channels are multiples of it, or full. `"hardware"`: what matrix units of the module's device read at
   * once (128 bytes on CUDA, 64 on a CPU). Unlike `channelDivisor`, it makes no exception for small layers, and counts
   * the channels of attention heads.
   */
  roundTo?: number | "hardware" | null;
  /** Layers that get the same width, as lists of globs over names and kinds. */
  ties?: readonly (readonly string[])[];
  /**
   * At most so many residual blocks are left out: those without which the outputs change least, by their squares, on
   * the dummy input. The others always stay. Null (the default) for any number.
   */
  maxLeftOut?: number | null;
}

/** The defaults of {@link WidthControl}. */
export const WIDTH_CONTROL_DEFAULTS: Required<WidthControl> = {
  include: null,
  exclude: [],
  minWidth: null,
  maxWidth: null,
  roundTo: null,
  ties: [],
  maxLeftOut: null,
};

const PERCENTAGE = /^(\d+(?:\.\d+)?)%$/;

function isBound(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && value > 0;
  const match = typeof value === "string" ? PERCENTAGE.exec(value) : null;
  return match !== null && Number(match[1]) > 0 && Number(match[1]) <= 100;
}

const boundsRule: ConfigRule = {
  expected: 'a width above 0, a share such as "25%", or an object of these by name or glob',
  accepts: (value) => isBound(value) || (isRecord(value) && Object.values(value).every(isBound)),
};

/** The rules of {@link WidthControl}. */
export const WIDTH_CONTROL_RULES: Record<keyof WidthControl, ConfigRule> = {
  ...LAYER_CHOICE_RULES,
  minWidth: orNull(boundsRule),
  maxWidth: orNull(boundsRule),
  roundTo: orNull({
    expected: 'a whole number of at least 1 or "hardware"',
    accepts: (value) => value === "hardware" || plainRules.positiveInteger.accepts(value),
  }),
  ties: {
    expected: "an array of arrays of names or globs",
    accepts: (value) => Array.isArray(value) && value.every((item) => globsRule.accepts(item)),
  },
  maxLeftOut: orNull(plainRules.nonNegativeInteger),
};

/** Bytes that matrix units read at once. */
const HARDWARE_BYTES = {
  // Tensor cores work best on multiples of 128 bytes (NVIDIA, "Matrix Multiplication Background User's Guide").
  cuda: 128,
  // oneDNN's layouts of blocked channels (nChw16c) fill a vector of AVX-512.
  cpu: 64,
} as const;

/** The multiple of channels that `roundTo: "hardware"` stands for. */
export function hardwareMultiple(device: string, elementBytes: number): number {
  const bytes = device.startsWith("cuda") ? HARDWARE_BYTES.cuda : HARDWARE_BYTES.cpu;
  return Math.max(1, Math.floor(bytes / elementBytes));
}

/** A hyperparameter as the native side has it. */
export interface FoundHyperparameter {
  readonly name: string;
  readonly kind: HyperparameterKind;
  readonly choices: readonly number[];
  readonly full: number;
  readonly channels: number;
  readonly begins: number;
}

/** A hyperparameter as the user wants it. */
export interface ControlledHyperparameter extends FoundHyperparameter {
  /** Positions of the native ones that it stands for. */
  readonly natives: readonly number[];
  /** Names of the others that it is tied to. */
  readonly tied: readonly string[];
  /** Why it has only one choice, where the user wanted that; else null. */
  readonly fixed: string | null;
}

/**
 * What a user may choose of what there is.
 *
 * @param roundTo the number that the config's `roundTo` stands for; 1 for none
 * @throws `ERR_UNKNOWN_LAYER`, `ERR_CONFLICTING_LAYERS`
 */
export function controlled(
  found: readonly FoundHyperparameter[],
  control: Required<WidthControl>,
  roundTo: number,
): ControlledHyperparameter[] {
  const whole = keptWhole(found, control);
  if (found.length > 0 && whole.every((reason) => reason !== null)) {
    throw conflict(
      `exclude (${control.exclude.join(", ")}) leaves nothing that could be narrowed: name less, so that something is left`,
    );
  }
  const bounds = { least: boundsOf("minWidth", control, found), most: boundsOf("maxWidth", control, found) };
  const single = found.map((each, at): ControlledHyperparameter => {
    const fixed = whole[at] as string | null;
    const choices = fixed === null ? each.choices : [each.full];
    const kept = each.kind === "depth" ? choices : withinBounds({ ...each, choices }, fixed, bounds, roundTo);
    const asked = fixed === null && kept.length === 1 && choices.length > 1;
    const why = asked ? "minWidth, maxWidth and roundTo leave it one width" : fixed;
    return { ...each, choices: kept, natives: [at], tied: [], fixed: why };
  });
  return tieTogether(single, control.ties);
}

type BoundsOf = (hyperparameter: FoundHyperparameter) => number[];

/** The bounds of each hyperparameter that a key gives. */
function boundsOf(
  key: "minWidth" | "maxWidth",
  control: Required<WidthControl>,
  found: readonly FoundHyperparameter[],
): BoundsOf {
  const given = control[key];
  const byGlob: Readonly<Record<string, WidthBound>> =
    given === null ? {} : isRecord(given) ? given : { "*": given };
  const widths = found.filter(({ kind }) => kind !== "depth");
  if (isRecord(given)) requireMatches(key, Object.keys(byGlob), widths);
  return (hyperparameter) =>
    Object.entries(byGlob)
      .filter(([glob]) => matchesLayer(hyperparameter, [glob], found))
      .map(([, bound]) => widthOf(bound, hyperparameter.full));
}

function widthOf(bound: WidthBound, full: number): number {
  return typeof bound === "number" ? bound : (full * Number(bound.slice(0, -1))) / 100;
}

function withinBounds(
  { name, choices, full, channels }: FoundHyperparameter,
  fixed: string | null,
  bounds: { least: BoundsOf; most: BoundsOf },
  roundTo: number,
): readonly number[] {
  const self = { name, kind: "outChannels" as const, choices, full, channels, begins: 0 };
  const least = Math.max(0, ...bounds.least(self));
  const most = Math.min(Number.POSITIVE_INFINITY, ...bounds.most(self));
  if (fixed !== null && full > most)
    throw conflict(
      `${name} stays at ${full}, since ${fixed}, but maxWidth allows it ${most} at most: drop one of them`,
    );
  if (least > most)
    throw conflict(
      `${name} can't be at least ${least} (minWidth) and at most ${most} (maxWidth) wide: change one`,
    );
  const kept = choices.filter(
    (choice) =>
      choice <= most &&
      (choice === full || (choice >= least && (roundTo === 1 || (choice * channels) % roundTo === 0))),
  );
  if (kept.length > 0) return kept;
  throw conflict(
    `${name} has none of its widths (${choices.join(", ")}) from ${least} to ${most}` +
      `${roundTo > 1 ? ` in multiples of ${roundTo} channels` : ""}: change minWidth, maxWidth, roundTo or channelDivisor`,
  );
}

/** One hyperparameter for each tie, in the place of its first. */
function tieTogether(
  single: readonly ControlledHyperparameter[],
  ties: Required<WidthControl>["ties"],
): ControlledHyperparameter[] {
  const taken = new Map<number, number>();
  const groups = ties.map((globs, tie) => {
    requireMatches("ties", globs, single);
    const members = [...single.keys()].filter((at) =>
      matchesLayer(single[at] as ControlledHyperparameter, globs, single),
    );
    for (const at of members) {
      if (taken.has(at))
        throw conflict(
          `two ties name ${single[at]?.name}: make them one tie, or name it in one of them only`,
        );
      taken.set(at, tie);
    }
    return tieOf(members.map((at) => single[at] as ControlledHyperparameter));
  });
  return single.flatMap((each, at) => {
    const tie = taken.get(at);
    if (tie === undefined) return [each];
    const group = groups[tie] as ControlledHyperparameter;
    return group.natives[0] === at ? [group] : [];
  });
}

function tieOf(members: readonly ControlledHyperparameter[]): ControlledHyperparameter {
  const [first, ...others] = members as [ControlledHyperparameter, ...ControlledHyperparameter[]];
  const isBlock = first.kind === "depth";
  const odd = others.find(({ full, kind }) => full !== first.full || (kind === "depth") !== isBlock);
  if (odd !== undefined) {
    throw conflict(
      `${first.name} (${first.kind}, ${first.full}) and ${odd.name} (${odd.kind}, ${odd.full}) can't have the same width: ` +
        "tie layers of the same full width",
    );
  }
  const choices = first.choices.filter((choice) => others.every((other) => other.choices.includes(choice)));
  if (choices.length === 0) {
    throw conflict(
      `${listed(members.map(({ name }) => name))} are tied, and have no width in common: change include, exclude, ` +
        "minWidth or maxWidth, so that they have",
    );
  }
  const fixed = members.find((each) => each.fixed !== null);
  return {
    ...first,
    choices,
    begins: Math.min(...members.map(({ begins }) => begins)),
    natives: members.flatMap(({ natives }) => natives),
    tied: others.map(({ name }) => name),
    fixed: fixed?.fixed ?? null,
  };
}
