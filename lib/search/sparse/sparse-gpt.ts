import { rules } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import type { Tensor } from "../../model/tensor";
import type { LayerSparsity } from "../../sparsity/space";
import type { ConfigRule } from "../../util/rules";
import { type SparseSearchConfig, SparseSearcher, type SparseSearchState } from "./sparse-searcher";

/** The config of {@link SparseGptSearcher}. `dataLoader` or `forwardLoop` must be given: a few hundred samples will do. */
export interface SparseGptConfig extends SparseSearchConfig {
  /** Columns whose masks are chosen at once; default 128, as in the paper. */
  blockSize: number;
  /** Added to the Hessian's diagonal, as a share of its mean; default 0.01, as in the paper. Above 0. */
  hessianDamp: number;
  /**
   * Whether each layer is adjusted to the inputs that it gets from the sparse layers before it, rather than to those of the
   * dense model; default false. It takes a pass over the data, up to the layer, for each.
   */
  sequential: boolean;
}

/** What {@link SparseGptSearcher} keeps. */
export interface SparseGptState extends SparseSearchState {
  /** Weights and masks of the layers that are done, by layer. */
  tensors: Record<string, { weight: Tensor; mask: Tensor }>;
}

/**
 * SparseGPT (Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", ICML 2023):
 * layer by layer, the weights go whose loss changes the layer's outputs least, and those that stay are adjusted to make up
 * for them, by the inverse Hessian of the squared error of the outputs. ModelOpt's mode `sparsegpt`.
 *
 * The Hessians come from the dense model in one pass over the data, or in as few as `memoryBudget` allows; with `sequential`,
 * from the model as sparse as it is by then. The state, with the new weights, is saved after a layer, of large models after
 * several, so that saving takes at most a twentieth of the time, and when the search is aborted; a resumed search goes on at
 * the next layer and ends with the same weights. Nothing is random but the order of the data.
 *
 * @throws from `search`: `ERR_NO_CALIBRATION_DATA` without data; `ERR_ACTIVATION_NAN`; `ERR_HESSIAN`; `ERR_ARGUMENT`,
 *   `ERR_CHOICE`, `ERR_UNKNOWN_LAYER`, `ERR_CONSTRAINT_VALUE`, `ERR_WEIGHT_NAN`; what `BaseSearcher.search` throws
 *
 * @example
 * ```ts
 * const sparse = await convert(module, "sparsegpt", dummyInput, { pattern: "unstructured" });
 * const { subnet } = await new SparseGptSearcher().search(sparse, {}, dummyInput, {
 *   density: 0.5,
 *   dataLoader: data,
 *   maxIterDataLoader: 2,
 * });
 * await subnet.save("sparse.pt");
 * ```
 */
export class SparseGptSearcher extends SparseSearcher<SparseGptState, SparseGptConfig> {
  override get defaultSearchConfig(): SparseGptConfig {
    return { ...super.defaultSearchConfig, blockSize: 128, hessianDamp: 0.01, sequential: false };
  }

  protected override get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {
      ...super.searchConfigRules,
      blockSize: rules.positiveInteger,
      hessianDamp: rules.positive,
    };
  }

  get defaultStateDict(): SparseGptState {
    return { ...this.emptyState, tensors: {} };
  }

  protected override get sequential(): boolean {
    return this.config.sequential;
  }

  protected get decisive(): string {
    const { blockSize, hessianDamp, sequential, maxIterDataLoader } = this.config;
    return JSON.stringify({ blockSize, hessianDamp, sequential, maxIterDataLoader });
  }

  override async beforeSearch(): Promise<void> {
    await super.beforeSearch();
    if (this.forwardLoop === null) {
      throw new TorchSearchError(
        "ERR_NO_CALIBRATION_DATA",
        "SparseGptSearcher needs data to see what layers read; set dataLoader (or forwardLoop) in its config.",
      );
    }
  }

  protected async sparsify(layer: string, density: number): Promise<LayerSparsity> {
    const { blockSize, hessianDamp, signal } = this.config;
    const done = await this.model.sparsify(layer, density, {
      method: "sparsegpt",
      blockSize,
      hessianDamp,
      signal,
    });
    const { weight, mask } = await this.model.layerTensors(layer, { signal });
    if (mask !== null) this.state.tensors[layer] = { weight, mask };
    else weight.close();
    return done;
  }

  protected async redo(layer: string): Promise<void> {
    const made = this.state.tensors[layer];
    if (made === undefined) return; // stays dense
    await this.model.restoreLayer(layer, made.weight, made.mask, this.state.layers[layer]?.kept as number);
  }
}
