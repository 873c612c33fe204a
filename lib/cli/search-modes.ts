/** How the modes differ for the command: making a space, the searcher's config, and the outcome. */

import { type Bounds, parseConstraints } from "../contract/constraints";
import type { Deployment, SearchStateDict } from "../contract/types";
import { type LossName, lossFor } from "../evaluation/losses";
import { convert } from "../mode/convert";
import type { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import { exampleBounds, METRIC_NAMES } from "../profile/metrics";
import type { QuantizationSpace } from "../quantization/space";
import type { QuantizedResult } from "../search/format/format-result";
import type { SparseSearchState } from "../search/sparse/sparse-searcher";
import { importanceNeeds } from "../space/importance";
import type { ModeSpace } from "../space/mode-space";
import type { SearchSpace } from "../space/search-space";
import type { ScoredSubnet } from "../space/types";
import type { SparseSpace } from "../sparsity/space";
import { isRecord } from "../util/check";
import { type ModeName, modeNamed } from "./modes";
import type { OpenData } from "./open-data";
import { badOption } from "./options/kinds";
import { flagOf, type SettingsOf } from "./options/table";
import type { SearchRequest, SpaceRequest } from "./request";
import type { SearchContext } from "./search-context";
import { type Undershoot, undershot } from "./undershoot";

/** The choices of a search, by kind of space; an outcome has those of its mode. */
export interface Chosen {
  /** Widths and blocks. */
  hyperparameters?: { name: string; kind: string; full: number; selected: number }[];
  /** The share of each layer's weights that is kept; `error`: the squared error of its outputs, as a share. */
  densities?: { name: string; kind: string; elements: number; density: number; error: number | null }[];
  /** Formats of layers; the layers of one entry share a weight or an input. */
  formats?: { name: string; layers: string[]; weights: number; format: string }[];
}

/** The choices and their costs. */
export interface Found extends Chosen {
  costs: { before: Record<string, number>; after: Record<string, number> };
}

/** How outputs are read, as a search was asked to. */
export type OutputRequest = Partial<Pick<SearchRequest, "outputKey" | "classDimension">>;

/** A mode as `torchsearch search` uses it. */
export interface CommandMode {
  /** Examples of its constraints, for messages; null for a mode without constraints. */
  constraints: string | null;
  /** Settings of a request that have no effect on it. */
  without: readonly (keyof SettingsOf<"search">)[];
  /** Whether the result has the model's operators, so that their costs compare. */
  comparesOperators: boolean;
  convert(
    module: Module,
    dummyInput: unknown[],
    request: SpaceRequest & OutputRequest & Pick<SearchRequest, "seed" | "maxBatches" | "calibrationBatches">,
    data: OpenData | null,
    context: Pick<SearchContext, "signal" | "onProgress">,
  ): Promise<ModeSpace>;
  /** The size of the choice, such as "9 hyperparameters". */
  size(space: ModeSpace): string;
  /** Keys of the searcher's config that follow from the request and its data. */
  config(request: SearchRequest, data: OpenData, score: LossName | "accuracy"): Record<string, unknown>;
  /** Whether the result's file keeps float weights of the same size. */
  simulated: boolean;
  found(space: ModeSpace, state: SearchStateDict): Found;
  /** The bounds that the result stays far below. */
  undershot(
    space: ModeSpace,
    state: SearchStateDict,
    bounds: Bounds,
    request: Pick<SearchRequest, "channelDivisor">,
  ): Undershoot[];
}

/** How outputs are read. */
function outputOf({ outputKey = null, classDimension = null }: OutputRequest): Required<OutputRequest> {
  return { outputKey, classDimension };
}

/** The targets of a batch of several arrays; null to take a batch's second element. */
function targetFunc({ collect, target }: OpenData): ((batch: Record<string, Tensor>) => Tensor) | null {
  return collect === null ? null : (batch) => batch[target as string] as Tensor;
}

function calibrationData(request: SearchRequest, { loader, collect }: OpenData): Record<string, unknown> {
  return {
    dataLoader: loader,
    collectFunc: collect,
    maxIterDataLoader: request.calibrationBatches ?? request.maxBatches,
  };
}

function widths(mode: "fastnas" | "autonas"): CommandMode {
  return {
    constraints: exampleBounds(["widths"]).join(", "),
    without: [],
    comparesOperators: true,
    simulated: false,
    convert: (module, dummyInput, request, data, { signal, onProgress }) => {
      const { channelDivisor, importance, seed } = request;
      const needs = importanceNeeds(importance);
      return convert(module, mode, dummyInput, {
        ...request.modeOptions,
        channelDivisor,
        importance,
        seed,
        signal,
        onProgress,
        ...(needs.data &&
          data !== null && {
            data: data.loader,
            collectFunc: data.collect,
            maxBatches: request.calibrationBatches ?? request.maxBatches,
          }),
        ...((needs.targets ||
          (importance === "auto" && data?.target != null && data.rows !== "probabilities")) &&
          data !== null && {
            loss: lossFor(data.labels),
            targetFunc: targetFunc(data),
            ...outputOf(request),
          }),
      });
    },
    size: (space) => counted((space as SearchSpace).hyperparameters.length, "hyperparameter"),
    config: (request, data) => ({
      // Data to recalibrate batch norms with, and to take gradients on.
      ...(request.recalibrate && calibrationData(request, data)),
      ...(request.searcher === "gradient" && {
        loss: lossFor(data.labels),
        targetFunc: targetFunc(data),
        ...outputOf(request),
      }),
      ...(request.searcher === "ranking" && rankingOf(request, data)),
      deployment: deploymentOf(request),
    }),
    found: (space, state) => {
      const best = state.best as ScoredSubnet;
      return {
        costs: { before: { ...(state.fullCosts as ScoredSubnet["costs"]) }, after: { ...best.costs } },
        hyperparameters: (space as SearchSpace).hyperparameters.map(({ name, kind, full }) => ({
          name,
          kind,
          full,
          selected: best.config[name] as number,
        })),
      };
    },
    undershot: (space, state, bounds, { channelDivisor }) =>
      undershot(
        space as SearchSpace,
        (state.best as ScoredSubnet).config,
        bounds,
        state,
        `a smaller --channel-divisor than ${channelDivisor}`,
      ),
  };
}

/** Channels are ranked as the conversion ranks them. */
function rankingOf(request: SearchRequest, data: OpenData): Record<string, unknown> {
  const { importance } = request;
  if (importance === "none" || importance === "auto") return {}; // requireFitting refuses the latter
  const targets = { loss: lossFor(data.labels), targetFunc: targetFunc(data), ...outputOf(request) };
  return { importance, ...(importanceNeeds(importance).targets && targets) };
}

/** Where latencies come from, when they are constrained. */
function deploymentOf({ constraints, latencyTable, threads }: SearchRequest): Deployment | null {
  if (!Object.hasOwn(constraints, "latency") || latencyTable === null) return null;
  return { latencyTable, ...(threads !== null && { threads }) };
}

/** Settings that only modes with widths use. */
const WIDTHS_ONLY: CommandMode["without"] = [
  "channelDivisor",
  "importance",
  "recalibrate",
  "latencyTable",
  "threads",
];

const plainConvert =
  (name: ModeName): CommandMode["convert"] =>
  (module, dummyInput, { modeOptions }, _data, { signal }) =>
    convert(module, modeNamed(name), dummyInput, { ...modeOptions, signal });

function sparse(mode: "sparse_magnitude" | "sparsegpt"): CommandMode {
  return {
    constraints: null,
    without: [...WIDTHS_ONLY, "constraints"],
    comparesOperators: false,
    simulated: true,
    convert: plainConvert(mode),
    size: (space) => counted((space as SparseSpace).layers.length, "layer"),
    // Magnitudes need no data, but with data the error of each layer is measured.
    config: calibrationData,
    found: (space, state) => {
      const { layers, fullConfig } = space as SparseSpace;
      const { best, layers: made } = state as unknown as SparseSearchState;
      return {
        costs: { before: (space as SparseSpace).costs(fullConfig), after: { ...best?.costs } },
        densities: layers.map(({ name, kind, elements, density }) => ({
          name,
          kind,
          elements,
          density,
          error: made[name]?.error ?? null,
        })),
      };
    },
    undershot: () => [],
  };
}

const quantization: CommandMode = {
  constraints: exampleBounds(["formats"]).join(" or "),
  without: WIDTHS_ONLY,
  comparesOperators: false,
  simulated: true,
  convert: plainConvert("auto_quantize"),
  size: (space) => `${counted((space as QuantizationSpace).hyperparameters.length, "group")} of layers`,
  config: (request, data, score) => {
    const sensitivity =
      data.target === null
        ? { sensitivity: score === "meanSquaredError" ? score : "klDivergence" }
        : { loss: lossFor(data.labels), targetFunc: targetFunc(data) };
    return {
      ...outputOf(request),
      ...calibrationData(request, data),
      maxIterDataLoader: request.maxBatches,
      calibrationBatches: request.calibrationBatches,
      ...sensitivity,
    };
  },
  found: (space, state) => {
    const { hyperparameters, fullConfig } = space as QuantizationSpace;
    const best = state.best as QuantizedResult;
    return {
      costs: { before: (space as QuantizationSpace).costs(fullConfig), after: { ...best.costs } },
      formats: hyperparameters.map(({ name, layers, weights }) => ({
        name,
        layers: [...layers],
        weights,
        format: best.config[name] as string,
      })),
    };
  },
  undershot: (space, state, bounds) =>
    undershot(
      space as QuantizationSpace,
      (state.best as QuantizedResult).config,
      bounds,
      state,
      "--format with more formats",
    ),
};

const ADAPTERS: Readonly<Record<ModeName, CommandMode>> = {
  fastnas: widths("fastnas"),
  autonas: widths("autonas"),
  sparse_magnitude: sparse("sparse_magnitude"),
  sparsegpt: sparse("sparsegpt"),
  auto_quantize: quantization,
};

/** Keys of a mode's config that come from other options, or from the data. */
const GIVEN_OTHERWISE: ReadonlySet<string> = new Set([
  "channelDivisor",
  "importance",
  "seed",
  "data",
  "collectFunc",
  "targetFunc",
  "loss",
  "outputKey",
  "classDimension",
  "maxBatches",
  "signal",
  "onProgress",
]);

/** The keys of a mode's config that `--mode-set` and `modeOptions` may give. */
export function modeKeys(mode: ModeName): string[] {
  return Object.keys(modeNamed(mode).rules).filter((key) => !GIVEN_OTHERWISE.has(key));
}

/** The adapter of a request's mode. */
export function adapterOf({ mode }: Pick<SpaceRequest, "mode">): CommandMode {
  return ADAPTERS[mode];
}

/**
 * Refuses settings that have no effect in a mode, and searchers of other modes.
 *
 * @param asked the settings that were given, without defaults
 * @throws `ERR_CLI_OPTION`
 */
export function requireFitting(request: SearchRequest, asked: Partial<SettingsOf<"search">>): void {
  const { without, constraints } = adapterOf(request);
  const mode = modeNamed(request.mode);
  const searchers = Object.keys(mode.searchers);
  if (!searchers.includes(request.searcher)) {
    throw badOption(
      `--mode ${mode.name} has the searchers ${searchers.join(", ")}, not ${request.searcher}.`,
    );
  }
  const useless = without.find((key) => {
    const value = asked[key];
    return value !== undefined && value !== null && !(isRecord(value) && Object.keys(value).length === 0);
  });
  if (useless !== undefined) {
    const remedy =
      useless === "constraints" ? "the pattern decides the cost (--pattern, --density)" : "leave it out";
    throw badOption(`--mode ${mode.name} has no use for ${flagOf("search", useless)}: ${remedy}.`);
  }
  const { modeOptions, searcherOptions } = request;
  const keys = modeKeys(request.mode);
  const unknown = Object.keys(modeOptions).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw badOption(`--mode ${mode.name} has no use for ${unknown}: its keys are ${keys.join(", ")}.`);
  }
  const pattern = modeOptions.pattern ?? (mode.defaults as { pattern?: string }).pattern ?? "unstructured";
  if (searcherOptions.density !== undefined && pattern !== "unstructured") {
    throw badOption(`The pattern ${pattern} has its own density: leave out --density or --pattern.`);
  }
  parseConstraints(request.constraints, { known: METRIC_NAMES });
  requireSearcherOptions(request);
  if (request.searcher === "ranking" && request.importance === "auto") {
    throw badOption(`--searcher ranking ranks by one measure: name it instead of --importance auto.`);
  }
  const learns =
    request.searcher === "gradient" ||
    (request.searcher === "ranking" && importanceNeeds(request.importance).data);
  if (learns && !request.recalibrate) {
    throw badOption(
      `--searcher ${request.searcher} learns from the data that batch norms are recalibrated on: leave out --no-recalibrate.`,
    );
  }
  const bounded = Object.keys(request.constraints).length > 0;
  if (constraints !== null && !bounded && request.searcher !== "pareto") {
    throw badOption(
      `A search needs at least one --constraint, such as ${constraints}; only pareto and the sparse modes need none.`,
    );
  }
}

/** Checks the config keys of the searcher, before anything is loaded. @throws errors of config keys */
function requireSearcherOptions({ mode, searcher, searcherOptions }: SearchRequest): void {
  const Searcher = modeNamed(mode).searchers[searcher] as unknown as new () => {
    readonly defaultSearchConfig: object;
    sanitizeSearchConfig(config: Record<string, unknown>): unknown;
  };
  const made = new Searcher();
  if (Object.hasOwn(searcherOptions, "numIters") && !Object.hasOwn(made.defaultSearchConfig, "numIters"))
    throw badOption(`--searcher ${searcher} takes no number of candidates: leave out --iterations.`);
  made.sanitizeSearchConfig(searcherOptions);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
