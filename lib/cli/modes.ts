/** The modes and searchers that the command knows. */

import { autoQuantize } from "../mode/quantize-mode";
import type { AnyMode } from "../mode/registry";
import { sparsegpt, sparseMagnitude } from "../mode/sparse-modes";
import { autonas, fastnas } from "../mode/width-modes";

/** The modes by name. */
export const SEARCHED_MODES = {
  fastnas,
  autonas,
  sparse_magnitude: sparseMagnitude,
  sparsegpt,
  auto_quantize: autoQuantize,
} as const;

/** The name of a mode that the command searches. */
export type ModeName = keyof typeof SEARCHED_MODES;

/** Every {@link ModeName}. */
export const MODES = Object.keys(SEARCHED_MODES) as ModeName[];

/** The modes whose subnets consist of widths. */
export const WIDTH_MODES = ["fastnas", "autonas"] as const satisfies readonly ModeName[];

/** Whether subnets of a mode consist of widths. */
export function hasWidths(mode: string): mode is (typeof WIDTH_MODES)[number] {
  return (WIDTH_MODES as readonly string[]).includes(mode);
}

/** A mode by its name. */
export function modeNamed(name: ModeName): AnyMode {
  return SEARCHED_MODES[name];
}

/** The short names of all modes' searchers. */
export const SEARCHERS = [...new Set(MODES.flatMap((name) => Object.keys(modeNamed(name).searchers)))];
