/** Which layers a mode changes: `include` and `exclude`, globs over the layers' names and kinds. */
import { TorchSearchError } from "../errors";
import { matchesGlob } from "../util/globs";
import { nearest } from "../util/nearest";
import { type ConfigRule, orNull } from "../util/rules";

/** The part of a mode's config that says which layers it changes. */
export interface LayerChoice {
  /** Globs over names and kinds of what may be changed; null (the default) for everything. */
  include?: readonly string[] | null;
  /** Globs over names and kinds of what stays as it is, also where `include` names it; default none. */
  exclude?: readonly string[];
}

/** What is chosen from. */
export interface ChoosableLayer {
  readonly name: string;
  readonly kind: string;
}

/** A list of globs. */
export const globsRule: ConfigRule = {
  expected: "an array of names or globs",
  accepts: (value) => Array.isArray(value) && value.every((item) => typeof item === "string" && item !== ""),
};

/** The rules of {@link LayerChoice}. */
export const LAYER_CHOICE_RULES: Record<keyof LayerChoice, ConfigRule> = {
  include: orNull(globsRule),
  exclude: globsRule,
};

const LISTED = 40;

/** By list of layers, and glob: whether it is the name of any of them. */
const named = new WeakMap<readonly ChoosableLayer[], Map<string, boolean>>();

function isName(glob: string, all: readonly ChoosableLayer[]): boolean {
  const known = named.get(all) ?? new Map<string, boolean>();
  named.set(all, known);
  const is = known.get(glob) ?? all.some(({ name }) => matchesGlob([name], [glob]));
  known.set(glob, is);
  return is;
}

/** Whether a layer's name is one of some globs; or its kind, for a glob that is the name of no layer. */
export function matchesLayer(
  { name, kind }: ChoosableLayer,
  globs: readonly string[],
  all: readonly ChoosableLayer[],
): boolean {
  return globs.some((glob) => matchesGlob([isName(glob, all) ? name : kind], [glob]));
}

/** Refuses globs that match nothing: most likely a typing error. @throws `ERR_UNKNOWN_LAYER` naming the nearest name */
export function requireMatches(
  what: string,
  globs: readonly string[],
  layers: readonly ChoosableLayer[],
): void {
  const idle = globs.find((glob) => !layers.some((layer) => matchesLayer(layer, [glob], layers)));
  if (idle === undefined) return;
  const names = layers.map(({ name }) => name);
  const near = nearest(idle, names);
  const kinds = [...new Set(layers.map(({ kind }) => kind))];
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  throw new TorchSearchError(
    "ERR_UNKNOWN_LAYER",
    `${what} names "${idle}", which matches nothing here${near === null ? "" : `; did you mean "${near}"?`} ` +
      `(there are ${names.slice(0, LISTED).join(", ") || "none"}${more}; of the kinds ${kinds.join(", ") || "none"})`,
  );
}

/**
 * Why each layer stays as it is; null for one that may be changed.
 *
 * @throws `ERR_UNKNOWN_LAYER`; `ERR_CONFLICTING_LAYERS` for an `include` of which `exclude` names everything
 */
export function keptWhole(
  layers: readonly ChoosableLayer[],
  { include, exclude }: Required<LayerChoice>,
): (string | null)[] {
  requireMatches("include", include ?? [], layers);
  requireMatches("exclude", exclude, layers);
  for (const glob of include ?? []) {
    const named = layers.filter((layer) => matchesLayer(layer, [glob], layers));
    if (!named.every((layer) => matchesLayer(layer, exclude, layers))) continue;
    throw conflict(
      `include names "${glob}", and exclude (${exclude.join(", ")}) names all of that: drop one of the two`,
    );
  }
  return layers.map((layer) => {
    if (matchesLayer(layer, exclude, layers)) return "exclude names it";
    return include !== null && !matchesLayer(layer, include, layers) ? "include leaves it out" : null;
  });
}

/** Settings that contradict each other. */
export function conflict(message: string): TorchSearchError {
  return new TorchSearchError("ERR_CONFLICTING_LAYERS", message);
}
