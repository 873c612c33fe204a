/** Weights of a subnet that make up for the channels which it lacks. */
import { type DataSource, isDataSource } from "../data/data-source";
import type { CollectFunction, RunContext, SearchModel } from "../evaluation/types";
import { claimedPatterns } from "../model/claimed-patterns";
import { earlierRecords } from "../model/record-export";
import { callNative } from "../native/call";
import { makeReconstruction } from "../native/reconstruction";
import type { NativeSearchSpace } from "../native/types/search-space";
import { throwIfAborted } from "../util/abort";
import { expected } from "../util/check";
import { completeConfig } from "../util/complete-config";
import { memoryGroups } from "../util/memory-groups";
import { orNull, plainRules as rules } from "../util/rules";
import { feedMeasure } from "./measure";

/** Options of `SearchSpace.reconstruct`. */
export interface ReconstructOptions extends Omit<RunContext, "stop"> {
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** At most so many batches; null (the default) for all. */
  maxBatches?: number | null;
  /** How strongly weights are held where they are: a share of the inputs' mean square; default 0.01. */
  damping?: number;
  /** Bytes for sums of inputs; more passes over the data are made where they don't suffice. Default 2 GiB. */
  memoryBudget?: number;
}

/** A layer that was reconstructed. */
export interface ReconstructedLayer {
  /** Its weight. */
  parameter: string;
  /** The share of the full layer's outputs on the data, in squares, that the subnet's layer missed. */
  before: number;
  /** The share that it misses now: never more. */
  after: number;
}

const DEFAULTS: Required<ReconstructOptions> = {
  collectFunc: null,
  maxBatches: null,
  damping: 0.01,
  memoryBudget: 2 ** 31,
  signal: null,
  onProgress: null,
  silent: false,
};

const RULES = {
  collectFunc: orNull(rules.func),
  maxBatches: orNull(rules.positiveInteger),
  damping: rules.positive,
  memoryBudget: rules.positive,
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
};

/** Reconstructs the layers that the selected subnet narrows, in as many passes over the data as the memory asks for. */
export async function reconstructLayers(
  model: SearchModel,
  space: NativeSearchSpace,
  data: DataSource,
  options: ReconstructOptions,
): Promise<ReconstructedLayer[]> {
  const { damping, memoryBudget, signal, ...config } = completeConfig(options, DEFAULTS, RULES);
  if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches", "data", data);
  throwIfAborted(signal);
  const measure = makeReconstruction();
  await callNative((call) => space.findNarrowedLayers(measure, call), signal);
  const done: ReconstructedLayer[] = [];
  const sparse = sparseParameters(model);
  const layers = [...measure.layers().entries()].filter(([, { parameter }]) => !sparse.has(parameter));
  for (const group of memoryGroups(layers, ([, { bytes }]) => bytes, memoryBudget)) {
    measure.collect(group.map(([at]) => at));
    await feedMeasure({ phase: "reconstruct", model, space, measure }, data, config, { ...config, signal });
    done.push(...(await callNative((call) => space.reconstruct(measure, damping, call), signal)));
  }
  return done;
}

/** Weights whose zeros the model's history vouches for, which a reconstruction would fill. */
function sparseParameters(space: object): ReadonlySet<string> {
  const layers = claimedPatterns(earlierRecords(space)).flatMap((claim) => claim.layers);
  return new Set(layers.flatMap((layer) => [layer, `${layer}.weight`]));
}
