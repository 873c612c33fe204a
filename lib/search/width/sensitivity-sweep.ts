/** Measuring how sensitive the score is to each hyperparameter alone, and scoring what follows from it. */
import { rules, type SearchConfig } from "../../contract/config";
import { requireSubnet } from "../../space/part-arguments";
import type { SearchSpace } from "../../space/search-space";
import type {
  Hyperparameter,
  ScoredSubnet,
  SpaceMetric,
  SpaceSearchState,
  SubnetConfig,
} from "../../space/types";
import { isAbort } from "../../util/abort";
import { Breather } from "../../util/breather";
import { expected, isRecord, requireRecord } from "../../util/check";
import { type ConfigRule, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { requireConfigKeys, requireState, requireTools } from "./part-arguments";
import { choicesToMeasure, customDegradationOf, degradationOf, type Sensitivity } from "./sensitivity";
import type { SearchTools } from "./space-searcher";

/** The config of searchers that measure sensitivities first. */
export interface SensitivitySearchConfig extends SearchConfig {
  /**
   * How many reduced widths to measure of each hyperparameter, evenly spread, always including the smallest; widths
   * between two of them are interpolated ({@link Sensitivity.degradation}). Null measures all. More widths take longer,
   * and on some models find better subnets (docs/results.md).
   */
  maxChoices: number | null;
  /**
   * The most bytes of activations to keep while sensitivities are measured, so that each candidate continues from where
   * it first differs from the full model; false for none. Null allows a quarter of the free memory for a model on the
   * CPU, and 1 GiB of another device's. It changes no result, only the time that is taken.
   */
  activationCache: number | false | null;
}

/** The defaults of the keys of {@link SensitivitySearchConfig}. */
export const SENSITIVITY_DEFAULTS: Pick<SensitivitySearchConfig, "maxChoices" | "activationCache"> = {
  maxChoices: 3,
  activationCache: null,
};

/** What the keys of {@link SensitivitySearchConfig} accept. */
export const SENSITIVITY_RULES: Readonly<Record<keyof typeof SENSITIVITY_DEFAULTS, ConfigRule>> = {
  maxChoices: orNull(rules.positiveInteger),
  activationCache: {
    expected: "a whole number of bytes of at least 0, false, or null",
    accepts: (value) =>
      value === null || value === false || (Number.isSafeInteger(value) && (value as number) >= 0),
  },
};

/** Bytes of another device's memory that kept activations may take by default. */
const DEVICE_CACHE = 2 ** 30;

/** What searchers that measure sensitivities keep. */
export interface SensitivitySearchState<Step extends string = string> extends SpaceSearchState {
  /** The full model's score; null before it was measured. */
  fullScore: number | null;
  /**
   * What degradations are measured against: the full model's score with its batch norms recalibrated, as every
   * candidate's are; without calibration data the same as `fullScore`. Null before it was measured.
   */
  referenceScore: number | null;
  /** What narrowing each hyperparameter alone does, by name. */
  sensitivity: Record<string, Sensitivity>;
  /** The scored candidates, with the step that each came from. */
  history: (ScoredSubnet & { step: Step })[];
}

/** The part of the state that hold under any constraints. */
export const SENSITIVITY_KEYS = ["fullScore", "referenceScore", "sensitivity"] as const;

/** The state before anything is measured; each searcher adds its own keys. */
export function sensitivityState<Step extends string>(): SensitivitySearchState<Step> {
  return {
    fullScore: null,
    referenceScore: null,
    fullCosts: null,
    sensitivity: {},
    bounds: null,
    history: [],
    best: null,
  };
}

/** What each hyperparameter's choices cost, all others full: by hyperparameter and metric, parallel to the choices. */
export type Narrowings = Record<string, Record<string, number[]>>;

const isScore = (value: unknown): boolean => value === null || typeof value === "number";

/** Prices every choice of every hyperparameter alone: for reports, which have no model to ask. */
export async function priceNarrowings(space: SearchSpace): Promise<Narrowings> {
  const breather = new Breather();
  const narrowings: Narrowings = {};
  for (const { name, choices } of space.hyperparameters) {
    const costs: Record<string, number[]> = {};
    for (const metric of space.metrics)
      costs[metric] = choices.map((choice) =>
        space.cost({ ...space.fullConfig, [name]: choice }, metric as SpaceMetric),
      );
    narrowings[name] = costs;
    await breather.breathe();
  }
  return narrowings;
}

/** Scores the full model, as it is and recalibrated, unless the state has the scores already. @throws `ERR_ARGUMENT` */
export async function scoreFullModel(tools: SearchTools, state: SensitivitySearchState): Promise<void> {
  requireTools(tools);
  requireState(state, { fullScore: isScore, referenceScore: isScore });
  if (state.fullScore === null) {
    state.fullScore = await tools.score(tools.space.fullConfig);
    await tools.save();
  }
  if (state.referenceScore === null) {
    state.referenceScore = (await tools.scoreRecalibrated()) ?? state.fullScore;
    await tools.save();
  }
  tools.log(`Full model: score ${state.fullScore}.`);
}

/**
 * Measures the sensitivities that the state does not hold yet: each hyperparameter h is narrowed to each choice c, all
 * others full, and the subnet scored. `degradationOf` and `customDegradationOf` have the formulas. When a
 * hyperparameter has many choices, `maxChoices` of them are measured; when it is the user's own, all of them. The state
 * is saved after each hyperparameter.
 *
 * @throws `ERR_ARGUMENT`, and what scoring throws
 */
export async function measureSensitivity(
  tools: SearchTools,
  state: SensitivitySearchState,
  config: Pick<SensitivitySearchConfig, "maxChoices" | "activationCache">,
): Promise<void> {
  requireTools(tools);
  requireState(state, { sensitivity: isRecord, referenceScore: (value) => typeof value === "number" });
  requireConfigKeys(config, SENSITIVITY_RULES);
  const { space } = tools;
  const { budget } = space.reuse;
  space.reuseActivations(cacheBytes(space, config.activationCache));
  try {
    await sweep(tools, state, config.maxChoices);
  } finally {
    if (!space.closed) space.reuseActivations(budget);
  }
}

function cacheBytes({ device }: SearchSpace, activationCache: number | false | null): number {
  if (activationCache !== null) return activationCache === false ? 0 : activationCache;
  return device === "cpu" ? Math.floor(process.availableMemory() / 4) : DEVICE_CACHE;
}

async function sweep(
  tools: SearchTools,
  state: SensitivitySearchState,
  maxChoices: number | null,
): Promise<void> {
  const { space, measureAll } = tools;
  const { sensitivity } = state;
  const full = space.fullConfig;
  // Hyperparameters that begin late come last, so that each continues from its predecessor's activations, and only
  // those of one place are held at a time. Nothing else depends on the order.
  const plan = [...space.hyperparameters]
    .sort((a, b) => a.begins - b.begins)
    .map((hyperparameter) => {
      const { kind, choices, full: whole } = hyperparameter;
      // Nothing lies between two choices of the user's own.
      const reduced = choicesToMeasure(choices.length, kind === "custom" ? null : maxChoices);
      const last = choices.length - 1;
      const wanted = choices[last] === whole ? reduced : [last, ...reduced];
      return { hyperparameter, wanted };
    });
  const isMissing = (name: string, at: number): boolean => (sensitivity[name]?.scores[at] ?? null) === null;
  const open = plan.flatMap(({ hyperparameter, wanted }) =>
    wanted.filter((at) => isMissing(hyperparameter.name, at)).map((at) => ({ hyperparameter, at })),
  );
  for (const { hyperparameter, wanted } of plan)
    if (wanted.length === 0 && !sensitivity[hyperparameter.name]) keepScore(state, hyperparameter, null);
  const total = plan.reduce((sum, { wanted }) => sum + wanted.length, 0);
  const before = total - open.length;
  // What begins late goes on from kept activations.
  const end = 1 + Math.max(0, ...open.map(({ hyperparameter }) => hyperparameter.begins));
  try {
    await measureAll(
      open.map(({ hyperparameter: { name, choices }, at }) => ({ ...full, [name]: choices[at] as number })),
      {
        inOrder: true,
        predicted: open.map(({ hyperparameter: { begins } }) => 1 - begins / end),
        onResult: async ({ score }, i) => {
          const { hyperparameter, at } = open[i] as (typeof open)[number];
          const { name, choices } = hyperparameter;
          keepScore(state, hyperparameter, { at, score });
          const done = before + i + 1;
          tools.report(
            { phase: "sensitivity", done, total, message: `measuring ${name}` },
            { score, hyperparameter: name },
          );
          if (open[i + 1]?.hyperparameter === hyperparameter) return;
          await tools.save();
          const harm = Math.max(...(sensitivity[name] as Sensitivity).degradation);
          tools.log(
            `Sensitivity of ${name}: ${harm.toPrecision(3)} at ${choices[0]} of ${choices.at(-1)} (${done}/${total}).`,
          );
        },
      },
    );
  } catch (error) {
    if (isAbort(error)) await tools.save();
    throw error;
  }
  // In the order of the space, for readers of the state.
  state.sensitivity = Object.fromEntries(
    space.hyperparameters.map(({ name }) => [name, sensitivity[name] as Sensitivity]),
  );
}

/** Puts a score into the state at once, so that an interrupted search keeps what it has measured. */
function keepScore(
  state: SensitivitySearchState,
  { name, kind, choices, full }: Hyperparameter,
  measured: { at: number; score: number } | null,
): void {
  const reference = state.referenceScore as number;
  const known = state.sensitivity[name]?.scores;
  const scores = choices.map((choice, at): number | null =>
    choice === full && at === choices.length - 1
      ? reference
      : at === measured?.at
        ? measured.score
        : (known?.[at] ?? null),
  );
  state.sensitivity[name] = {
    choices: [...choices],
    scores,
    degradation: kind === "custom" ? customDegradationOf(scores) : degradationOf(scores, reference, choices),
  };
}

/**
 * Has a group score subnets at the same time that {@link consider} will take one by one, which finds their scores then. Does
 * nothing without a group.
 */
export async function scoreAhead<Step extends string>(
  { parallel, measureAll }: SearchTools,
  { history }: SensitivitySearchState<Step>,
  candidates: readonly { step: Step; config: SubnetConfig }[],
): Promise<void> {
  if (parallel === 1) return;
  const isKnown = ({ step, config }: (typeof candidates)[number]): boolean =>
    history.some((known) => known.step === step && sameNumbers(known.config, config));
  await measureAll(candidates.filter((each) => !isKnown(each)).map(({ config }) => config));
}

/**
 * Scores a subnet that follows from the sensitivities, unless the history has its score already, and keeps it when it
 * is the best; on a tie the earlier one stays.
 *
 * @param place what number it is, and of how many
 * @throws `ERR_ARGUMENT`, and what measuring throws
 */
export async function consider<Step extends string>(
  tools: SearchTools,
  state: SensitivitySearchState<Step>,
  step: Step,
  config: SubnetConfig,
  place: { done: number; total: number },
): Promise<void> {
  requireTools(tools);
  const isBest = (value: unknown): boolean => value === null || (isRecord(value) && isScore(value.score));
  requireState(state, { history: Array.isArray, best: isBest });
  if (typeof step !== "string") throw expected("ERR_ARGUMENT", "the name of a step", "step", step);
  requireSubnet(config, "config");
  requireRecord(place, "place");
  if (state.history.some((known) => known.step === step && sameNumbers(known.config, config))) return;
  const scored = await tools.measure(config);
  state.history.push({ step, ...scored });
  if (state.best === null || scored.score > state.best.score) state.best = scored;
  await tools.save();
  tools.report(
    { phase: "search", ...place, message: `candidate (${step}): score ${scored.score}` },
    { score: scored.score },
  );
  tools.log(`Candidate (${step}): score ${scored.score}.`);
}
