/** Bounds that a result stays far below, and why. */
import { type Bounds, type Costs, satisfies, violated } from "../contract/constraints";
import type { SearchStateDict } from "../contract/types";
import { type CandidateColumns, subnetsOf } from "../space/candidates";
import { isRecord } from "../util/check";

/** A bound that the result stays far below. */
export interface Undershoot {
  metric: string;
  /** The share of the bound that the result takes. */
  share: number;
  /** Why, in a sentence without its full stop. */
  why: string;
}

/** What is needed of a space. */
interface ChoiceSpace<Choice> {
  readonly hyperparameters: readonly { name: string; choices: readonly Choice[] }[];
  readonly fullConfig: Readonly<Record<string, Choice>>;
  costs(config: Readonly<Record<string, Choice>>): Costs;
}

/** A result that takes less than this share of a bound stays far below it. */
const FAR = 0.85;

/**
 * The bounds that a result stays far below.
 *
 * @param space the choices, those of one hyperparameter by rising cost or in any order
 * @param config the result
 * @param finer what gives finer choices, such as "a smaller --channel-divisor"
 */
export function undershot<Choice extends number | string>(
  space: ChoiceSpace<Choice>,
  config: Readonly<Record<string, Choice>>,
  bounds: Bounds,
  state: SearchStateDict,
  finer: string,
): Undershoot[] {
  const costs = space.costs(config);
  const far = Object.keys(bounds).filter(
    (metric) => (costs[metric] as number) < FAR * (bounds[metric] as number),
  );
  if (far.length === 0) return [];
  const larger = neighbours(space, config).map((each) => space.costs(each));
  const whole = satisfies(space.costs(space.fullConfig), bounds);
  return far.map((metric) => {
    const present = costs[metric] as number;
    const more = larger.filter((each) => (each[metric] as number) > present);
    const why = whole
      ? "the full model itself is within it, so nothing had to be cut"
      : reason(metric, more, bounds, { finer, measured: measuredCosts(state), present });
    return { metric, share: present / (bounds[metric] as number), why };
  });
}

/** The configs that differ in one choice: the next one where choices are numbers, else any. */
function neighbours<Choice extends number | string>(
  { hyperparameters }: ChoiceSpace<Choice>,
  config: Readonly<Record<string, Choice>>,
): Record<string, Choice>[] {
  return hyperparameters.flatMap(({ name, choices }) => {
    const at = choices.indexOf(config[name] as Choice);
    const others = typeof choices[0] === "number" ? choices.slice(at + 1, at + 2) : choices;
    return others.map((choice) => ({ ...config, [name]: choice }));
  });
}

function reason(
  metric: string,
  more: readonly Costs[],
  bounds: Bounds,
  { finer, measured, present }: { finer: string; measured: readonly Costs[]; present: number },
): string {
  if (more.length === 0) return "no choice takes more of it";
  const fitting = more.filter((each) => satisfies(each, bounds));
  if (fitting.length === 0) {
    if (more.every((each) => violated(each, bounds).includes(metric)))
      return `the choices are coarse, and each next larger one exceeds it; ${finer} gives finer ones`;
    const others = [...new Set(more.flatMap((each) => violated(each, bounds)))].filter(
      (name) => name !== metric,
    );
    return `${others.join(" and ")} ${others.length === 1 ? "leaves" : "leave"} no room for more`;
  }
  const tried = measured.filter(
    (each) => (each[metric] as number) > present && satisfies(each, bounds),
  ).length;
  return tried > 0
    ? `the ${tried === 1 ? "one measured candidate" : `${tried} measured candidates`} within it that ` +
        `${tried === 1 ? "takes" : "take"} more scored lower`
    : "the search measured no candidate within it that takes more";
}

/** The costs of what a search has measured. */
function measuredCosts(state: SearchStateDict): Costs[] {
  const columns = state.candidates as CandidateColumns | undefined;
  const history = Array.isArray(state.history) ? state.history : [];
  return [
    ...(columns === undefined ? [] : subnetsOf(columns).map(({ costs }) => costs as Costs)),
    ...history.flatMap((each) => (isRecord(each) && isRecord(each.costs) ? [each.costs as Costs] : [])),
  ];
}
