/** What the modes differ in, for the command: how a space is made, what its searchers are told, what came out. */

import type { Deployment, SearchStateDict } from "../contract/types";
import { lossFor } from "../evaluation/losses";
import { convert } from "../mode/convert";
import { autoQuantize } from "../mode/quantize-mode";
import type { AnyMode } from "../mode/registry";
import { sparsegpt, sparseMagnitude } from "../mode/sparse-modes";
import { autonas, fastnas } from "../mode/width-modes";
import type { Module } from "../model/module";
import type { Tensor } from "../model/tensor";
import type { QuantizationSpace } from "../quantization/space";
import type { QuantizedResult } from "../search/format/auto-quantize";
import type { SparseSearchState } from "../search/sparse/sparse-searcher";
import type { ScoredSubnet } from "../search/width/space-searcher";
import { type Importance, importanceNeeds } from "../space/importance";
import type { ModeSpace } from "../space/mode-space";
import type { SearchSpace } from "../space/search-space";
import type { SparseSpace } from "../sparsity/space";
import { isRecord } from "../util/check";
import type { OpenData } from "./open-data";
import { badOption } from "./options";
import type { RequestSettings, SearchRequest, SpaceRequest } from "./search-request";
import type { SearchContext } from "./search-run";

/** What was chosen, by kind of space; an outcome has the one that its mode makes. */
export interface Chosen {
  /** Widths and blocks. */
  hyperparameters?: { name: string; kind: string; full: number; selected: number }[];
  /** The share of each layer's weights that stays; `error`: which share of its outputs, in squares, is missed. */
  densities?: { name: string; kind: string; elements: number; density: number; error: number | null }[];
  /** Formats of layers; those of one entry share a weight or an input. */
  formats?: { name: string; layers: string[]; weights: number; format: string }[];
}

/** Costs, and what was chosen. */
export interface Found extends Chosen {
  costs: { before: Record<string, number>; after: Record<string, number> };
}

/** A mode as `torchsearch search` uses it. */
export interface CommandMode {
  mode: AnyMode;
  /** Constraints that it takes, for people; null for none. */
  constraints: string | null;
  /** Settings of a request that mean nothing to it, by the option that gives them. */
  without: Partial<Record<keyof RequestSettings, string>>;
  /** Whether operators of the result stand beside those of the model, so that their costs compare. */
  comparesOperators: boolean;
  convert(
    module: Module,
    dummyInput: unknown[],
    request: SpaceRequest & Pick<SearchRequest, "seed" | "maxBatches" | "calibrationBatches">,
    data: OpenData | null,
    context: Pick<SearchContext, "signal" | "onProgress">,
  ): Promise<ModeSpace>;
  /** How much there is to choose, such as "9 hyperparameters". */
  size(space: ModeSpace): string;
  /** Keys of the searcher's config that follow from the request and its data. */
  config(request: SearchRequest, data: OpenData): Record<string, unknown>;
  found(space: ModeSpace, state: SearchStateDict): Found;
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

function widths(mode: AnyMode): CommandMode {
  return {
    mode,
    constraints: "flops=60%, params=2.5M, macs=1e9, size=10MiB or latency=5",
    without: {},
    comparesOperators: true,
    convert: (module, dummyInput, request, data, { signal, onProgress }) => {
      const { channelDivisor, importance, seed } = request;
      const needs = importanceNeeds(importance as Importance);
      return convert(module, mode.name, dummyInput, {
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
        ...(needs.targets &&
          data !== null && {
            loss: lossFor(data.labels),
            targetFunc: targetFunc(data),
          }),
      });
    },
    size: (space) => counted((space as SearchSpace).hyperparameters.length, "hyperparameter"),
    config: (request, data) => ({
      // By which batch norms are recalibrated.
      ...(request.recalibrate && calibrationData(request, data)),
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
  };
}

/** Where latencies come from, when they are constrained. */
function deploymentOf({ constraints, latencyTable, threads }: SearchRequest): Deployment | null {
  if (!Object.hasOwn(constraints, "latency") || latencyTable === null) return null;
  return { latencyTable, ...(threads !== null && { threads }) };
}

const OF_WIDTHS: CommandMode["without"] = {
  channelDivisor: "--channel-divisor",
  importance: "--importance",
  recalibrate: "--no-recalibrate",
  latencyTable: "--latency-table",
  threads: "--threads",
};

const plainConvert =
  (name: string): CommandMode["convert"] =>
  (module, dummyInput, { modeOptions }, _data, { signal }) =>
    convert(module, name, dummyInput, { ...modeOptions, signal });

function sparse(mode: AnyMode): CommandMode {
  return {
    mode,
    constraints: null,
    without: { ...OF_WIDTHS, constraints: "--constraint" },
    comparesOperators: false,
    convert: plainConvert(mode.name),
    size: (space) => counted((space as SparseSpace).layers.length, "layer"),
    // Magnitudes need no data, but data tell what the zeros cost each layer.
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
  };
}

const quantization: CommandMode = {
  mode: autoQuantize as AnyMode,
  constraints: "effectiveBits=6 or size=10MiB",
  without: OF_WIDTHS,
  comparesOperators: false,
  convert: plainConvert(autoQuantize.name),
  size: (space) => `${counted((space as QuantizationSpace).hyperparameters.length, "group")} of layers`,
  config: (request, data) => {
    const sensitivity =
      data.target === null
        ? { sensitivity: "klDivergence" }
        : { loss: data.labels ? "crossEntropy" : "mse", targetFunc: targetFunc(data) };
    return {
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
};

/** The modes that the command searches, by name. */
export const COMMAND_MODES = {
  fastnas: widths(fastnas as unknown as AnyMode),
  autonas: widths(autonas as unknown as AnyMode),
  sparse_magnitude: sparse(sparseMagnitude as unknown as AnyMode),
  sparsegpt: sparse(sparsegpt as unknown as AnyMode),
  auto_quantize: quantization,
} as const satisfies Record<string, CommandMode>;
export type ModeName = keyof typeof COMMAND_MODES;

export const MODES = Object.keys(COMMAND_MODES) as ModeName[];
/** Those whose subnets are made of widths. */
export const WIDTH_MODES: readonly ModeName[] = ["fastnas", "autonas"];
/** Of all modes. */
export const SEARCHERS = [
  ...new Set(MODES.flatMap((name) => Object.keys(COMMAND_MODES[name].mode.searchers))),
];

/** Keys of a mode's config that options of their own, or the data, give. */
const GIVEN_OTHERWISE: ReadonlySet<string> = new Set([
  "channelDivisor",
  "importance",
  "seed",
  "data",
  "collectFunc",
  "targetFunc",
  "loss",
  "maxBatches",
  "signal",
  "onProgress",
]);

/** The adapter of a request, whose mode was checked. */
export function modeOf({ mode }: Pick<SpaceRequest, "mode">): CommandMode {
  return COMMAND_MODES[mode as ModeName];
}

/**
 * Refuses settings that a mode has no use for, and searchers of other modes.
 *
 * @param given what was said, without defaults
 * @throws `ERR_CLI_OPTION`
 */
export function requireFitting(request: SearchRequest, given: RequestSettings): void {
  const { mode, without, constraints } = modeOf(request);
  const searchers = Object.keys(mode.searchers);
  if (!searchers.includes(request.searcher)) {
    throw badOption(
      `--mode ${mode.name} has the searchers ${searchers.join(", ")}, not ${request.searcher}.`,
    );
  }
  const asked = (key: string): boolean => {
    const value = given[key as keyof RequestSettings];
    return value !== undefined && value !== null && !(isRecord(value) && Object.keys(value).length === 0);
  };
  const useless = Object.entries(without).find(([key]) => asked(key));
  if (useless !== undefined) {
    const remedy =
      useless[0] === "constraints" ? "the pattern decides the cost (--pattern, --density)" : "leave it out";
    throw badOption(`--mode ${mode.name} has no use for ${useless[1]}: ${remedy}.`);
  }
  const { modeOptions, searcherOptions } = request;
  const unknown = Object.keys(modeOptions).find(
    (key) => !Object.hasOwn(mode.rules, key) || GIVEN_OTHERWISE.has(key),
  );
  if (unknown !== undefined) {
    const keys = Object.keys(mode.rules).filter((key) => !GIVEN_OTHERWISE.has(key));
    throw badOption(`--mode ${mode.name} has no use for ${unknown}: its keys are ${keys.join(", ")}.`);
  }
  const pattern = modeOptions.pattern ?? (mode.defaults as { pattern?: string }).pattern ?? "unstructured";
  if (searcherOptions.density !== undefined && pattern !== "unstructured") {
    throw badOption(`The pattern ${pattern} has a density of its own: leave out --density, or --pattern.`);
  }
  const bounded = Object.keys(request.constraints).length > 0;
  if (constraints !== null && !bounded && request.searcher !== "pareto") {
    throw badOption(
      `A search needs at least one --constraint, such as ${constraints}; only pareto and the sparse modes do without.`,
    );
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
