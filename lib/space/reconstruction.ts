/** Weights of a subnet that make up for the channels which it lacks. */
import { type DataSource, isDataSource } from "../data/data-source";
import type { CollectFunction, RunContext, SearchModel } from "../evaluation/types";
import { claimedPatterns } from "../model/claimed-patterns";
import { earlierRecords } from "../model/record-export";
import { callNative } from "../native/call";
import { makeReconstruction } from "../native/reconstruction";
import type { NativeReconstruction } from "../native/types/reconstruction";
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

/** Sums of the layers' inputs, by which one subnet of a space after the other is reconstructed. */
export class KeptReconstruction {
  private constructor(
    private readonly native: NativeSearchSpace,
    private readonly measure: NativeReconstruction,
    private readonly damping: number,
    /** Layers whose sums don't fit into the memory. */
    readonly leftOut: number,
  ) {}

  /**
   * Gathers the inputs of every layer that the selected subnet narrows, of which the sums fit into the memory; the
   * largest stay out.
   */
  static async gather(
    model: SearchModel,
    space: NativeSearchSpace,
    data: DataSource,
    options: ReconstructOptions,
  ): Promise<KeptReconstruction> {
    const { damping, memoryBudget, signal, ...config } = completeConfig(options, DEFAULTS, RULES);
    if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches", "data", data);
    throwIfAborted(signal);
    const measure = makeReconstruction(true);
    await callNative((call) => space.findNarrowedLayers(measure, call), signal);
    const sparse = sparseParameters(model);
    const layers = [...measure.layers().entries()].filter(([, { parameter }]) => !sparse.has(parameter));
    const smallestFirst = layers.sort(([, a], [, b]) => a.bytes - b.bytes);
    const [fitting = []] = memoryGroups(smallestFirst, ([, { bytes }]) => bytes, memoryBudget);
    measure.collect(fitting.map(([at]) => at));
    if (fitting.length > 0)
      await feedMeasure({ phase: "reconstruct", model, space, measure }, data, config, { ...config, signal });
    return new KeptReconstruction(space, measure, damping, layers.length - fitting.length);
  }

  /** Reconstructs the subnet that is selected now. */
  async apply(signal: AbortSignal | null): Promise<ReconstructedLayer[]> {
    await callNative((call) => this.native.findNarrowedLayers(this.measure, call), signal);
    return callNative((call) => this.native.reconstruct(this.measure, this.damping, call), signal);
  }
}

/** Weights whose zeros the model's history vouches for, which a reconstruction would fill. */
function sparseParameters(space: object): ReadonlySet<string> {
  const layers = claimedPatterns(earlierRecords(space)).flatMap((claim) => claim.layers);
  return new Set(layers.flatMap((layer) => [layer, `${layer}.weight`]));
}
