import { BaseSearcher } from "../../contract/base";
import { rules, type SearchConfig } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import { searchRecordOf } from "../../model/history";
import type { Module } from "../../model/module";
import { requireSpace } from "../../space/require-space";
import type { DensityConfig, LayerSparsity, SparseMetric } from "../../sparsity/space";
import { SparseSpace } from "../../sparsity/space";
import { throwIfAborted } from "../../util/abort";
import { isRecord } from "../../util/check";
import { memoryGroups } from "../../util/memory-groups";
import { type ConfigRule, orNull } from "../../util/rules";
import { sameNumbers } from "../../util/same-numbers";
import { SavePace } from "../../util/save-pace";

/** The config of searchers of a {@link SparseSpace}. */
export interface SparseSearchConfig extends SearchConfig {
  /** The share of weights that stays, for the pattern `unstructured`. A pattern N:M has its own. */
  density: number;
  /** Whether `density` holds for each layer, or for all together, whose largest magnitudes stay. */
  scope: "layer" | "global";
  /** Densities of single layers, by name, in place of `density`; null for none. 1 leaves a layer dense. */
  layerDensities: DensityConfig | null;
  /** Whether the result has masks beside its weights, so that training keeps the zeros. */
  masks: boolean;
  /** Bytes that the products of layers' inputs may take at once. With less, more passes over the data are needed. */
  memoryBudget: number;
}

/** The result of a sparse search. */
export interface SparseResult {
  /** The density of each layer. */
  config: DensityConfig;
  /** Its score by the config's `scoreFunc`; null without one. */
  score: number | null;
  /** `density`: the share of the layers' weights that stays. */
  costs: Record<SparseMetric, number>;
}

/** What searchers of a {@link SparseSpace} keep. */
export interface SparseSearchState {
  /** The density of each layer. The rest of the state belongs to it and to `settings`. */
  plan: DensityConfig | null;
  /** The settings that decide which weights stay; with others than the checkpoint's, a search begins anew. */
  settings: string | null;
  /** What was done to each layer. */
  layers: Record<string, LayerSparsity>;
  /** The result; null until all layers are done. */
  best: SparseResult | null;
}

/**
 * The base of searchers of a {@link SparseSpace}: it decides the densities, the order of layers, and the passes over
 * data.
 */
export abstract class SparseSearcher<
  State extends SparseSearchState,
  Config extends SparseSearchConfig,
> extends BaseSearcher<State, Config, SparseSpace, Module> {
  /** The state may hold the weights of all layers that are done. */
  #pace = new SavePace();

  override get defaultSearchConfig(): Config {
    return {
      ...super.defaultSearchConfig,
      density: 0.5,
      scope: "layer",
      layerDensities: null,
      masks: true,
      memoryBudget: 2 ** 31,
    };
  }

  /** Each layer's zeros need the layers' weights, which stay in one process. */
  protected override get sharesWork(): boolean {
    return false;
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      density: rules.share,
      scope: { expected: '"layer" or "global"', accepts: (value) => value === "layer" || value === "global" },
      layerDensities: orNull({ expected: "an object of densities by layer", accepts: isRecord }),
      memoryBudget: rules.positive,
    };
  }

  protected override get checkpointSettings(): Readonly<Record<string, unknown>> {
    const space = this.model;
    const { mode, pattern, device } = space;
    const layers = space.layers.map(({ name, kind, elements }) => ({ name, kind, elements }));
    const dense = Object.fromEntries(layers.map(({ name }) => [name, 1]));
    const text = pattern === null ? "unstructured" : `${pattern.n}:${pattern.m}`;
    return { space: { mode, device, pattern: text, layers, fullCosts: space.costs(dense) } };
  }

  /** The state before anything was done. */
  protected get emptyState(): SparseSearchState {
    return { plan: null, settings: null, layers: {}, best: null };
  }

  /** Config values that decide the result, beside the densities. */
  protected abstract get decisive(): string;

  /** Makes one layer sparse. */
  protected abstract sparsify(layer: string, density: number): Promise<LayerSparsity>;

  /** Makes a layer sparse again as the state records it. */
  protected abstract redo(layer: string, density: number): Promise<void>;

  /** Whether layers see the inputs that their sparse predecessors give. */
  protected get sequential(): boolean {
    return false;
  }

  /** @throws `ERR_ARGUMENT`, `ERR_CHOICE`, `ERR_UNKNOWN_LAYER`, `ERR_CONSTRAINT_VALUE` for any constraint */
  override async beforeSearch(): Promise<void> {
    const space = this.model;
    requireSpace(space, SparseSpace, "sparsegpt");
    const bound = this.constrained[0];
    if (bound !== undefined) {
      throw new TorchSearchError(
        "ERR_CONSTRAINT_VALUE",
        `${this.constructor.name} takes no constraints, but received one on ${bound}: the pattern and density, set in the config, decide the cost; pass {}.`,
      );
    }
    this.#pace = new SavePace();
    await space.reset({ signal: this.config.signal });
    const plan = await this.#plan(space);
    for (const [name, density] of Object.entries(plan)) space.cost({ [name]: density }, "density"); // checks it
    const { state } = this;
    if (!sameNumbers(state.plan, plan) || state.settings !== this.decisive)
      Object.assign(state, this.defaultStateDict);
    state.plan = plan;
    state.settings = this.decisive;
  }

  async #plan(space: SparseSpace): Promise<DensityConfig> {
    const { density, scope, layerDensities, signal } = this.config;
    const base =
      scope === "global" ? await space.globalDensities(density, { signal }) : space.uniform(density);
    for (const name of Object.keys(layerDensities ?? {})) space.bytesToCollect(name); // refuses unknown ones
    return { ...base, ...layerDensities };
  }

  async runSearch(): Promise<void> {
    try {
      await this.#makeSparse();
    } catch (error) {
      // The error that is thrown is that of the search, even where saving fails as well.
      await this.#pace.flush(() => this.saveSearchCheckpoint()).catch(() => {});
      throw error;
    }
    await this.#pace.flush(() => this.saveSearchCheckpoint());
  }

  async #makeSparse(): Promise<void> {
    const { model: space, state } = this;
    const plan = state.plan as DensityConfig;
    const names = space.layers.map(({ name }) => name);
    for (const name of names) {
      if (state.layers[name] !== undefined) await this.redo(name, plan[name] as number);
    }
    const left = names.filter((name) => state.layers[name] === undefined);
    for (const group of this.#groups(left.filter((name) => plan[name] !== 1))) {
      await this.#gather(group);
      for (const name of group) await this.#take(name, names.length);
    }
    for (const name of left.filter((name) => plan[name] === 1)) await this.#take(name, names.length);
  }

  async #take(name: string, total: number): Promise<void> {
    const { state } = this;
    throwIfAborted(this.config.signal);
    const done = await this.sparsify(name, state.plan?.[name] as number);
    state.layers[name] = done;
    await this.#pace.offer(() => this.saveSearchCheckpoint());
    const count = Object.keys(state.layers).length;
    this.report({
      phase: "sparsify",
      done: count,
      total,
      message: `${name}: ${(100 * done.density).toFixed(1)} % stay`,
      details: { layer: name, ...done },
    });
    const missed = done.error === null ? "" : `, output error ${done.error.toPrecision(3)}`;
    this.log(
      `${name}: ${(100 * done.density).toFixed(1)} % of the weights stay${missed} (${count}/${total}).`,
    );
  }

  /** Runs the data, when there is some, to learn what layers read. */
  async #gather(group: readonly string[]): Promise<void> {
    if (this.forwardLoop === null) return;
    const { signal, dataLoader } = this.config;
    // Only a loader of ours is known to have no use for outputs.
    const stopEarly = this.sequential && dataLoader !== null;
    await this.model.collect(group, { sequential: this.sequential, stopEarly, signal });
    try {
      await this.forwardLoop(this.model);
    } finally {
      if (!this.model.closed) await this.model.stopCollecting();
    }
  }

  /**
   * Layers whose inputs are gathered in one pass: as many as the memory allows, or one when each needs the one before.
   */
  #groups(names: readonly string[]): string[][] {
    if (this.sequential) return names.map((name) => [name]);
    return memoryGroups(names, (name) => this.model.bytesToCollect(name), this.config.memoryBudget);
  }

  override async afterSearch(): Promise<void> {
    const config = this.model.active;
    const score = this.hasScore ? await this.evalScore() : null;
    this.state.best = { config, score, costs: this.model.costs(config) };
    await this.saveSearchCheckpoint();
  }

  protected override buildSubnet(): Promise<Module> {
    const { masks, signal } = this.config;
    const search = searchRecordOf(this, this.state.best?.score ?? null);
    return this.model.export({ masks, signal, search });
  }
}
