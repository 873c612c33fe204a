import { rules } from "../../contract/config";
import { TorchSearchError } from "../../errors";
import type { Tensor } from "../../model/tensor";
import type { LayerSparsity } from "../../sparsity/space";
import type { ConfigRule } from "../../util/rules";
import { type SparseSearchConfig, SparseSearcher, type SparseSearchState } from "./sparse-searcher";

/** The config of {@link SparseGptSearcher}. It needs a `dataLoader` or `forwardLoop`; a few hundred samples suffice. */
export interface SparseGptConfig extends SparseSearchConfig {
  /** Columns whose masks are chosen at once. The default is the paper's. */
  blockSize: number;
  /** Added to the Hessian's diagonal, as a share of its mean. Above 0. The default is the paper's. */
  hessianDamp: number;
  /**
   * Whether each layer is adjusted to the inputs that it gets from the sparse layers before it, rather than to those of
   * the dense model; default false. It takes a pass over the data, up to the layer, for each.
   */
  sequential: boolean;
}

/** What {@link SparseGptSearcher} keeps. */
export interface SparseGptState extends SparseSearchState {
  /** Weights and masks of the layers that are done, by layer. */
  tensors: Record<string, { weight: Tensor; mask: Tensor }>;
}

/**
 * SparseGPT (Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot", ICML
 * 2023): layer by layer, it removes the weights whose removal changes the layer's outputs least, and adjusts those that
 * stay to compensate. ModelOpt's mode `sparsegpt`. The native side computes, for each layer:
 *
 * 1. *Hessian.* H, the mean of x x^T over the layer's inputs x: up to a factor, the Hessian of the squared error of its
 *    outputs. `hessianDamp` times the mean of its diagonal is added to the diagonal.
 * 2. *Masks.* `blockSize` columns at a time, the weights w_p with the smallest w_p^2 / [H^-1]_pp are removed (the
 *    saliency of "Optimal Brain Surgeon": Hassibi et al., 1993), over the columns that are left.
 * 3. *Adjustment.* For each removed w_p, the later weights of its row change by -(w_p / [H^-1]_pp) [H^-1]_p.
 *
 * The Hessians come from the dense model in one pass over the data, or in as few passes as `memoryBudget` allows; with
 * `sequential`, from the model with the layers before it sparse already. The state, with the new weights, is saved
 * after a layer, or after several where the model is large, so that saving takes at most a twentieth of the time. It is
 * saved too when the search is aborted. A resumed search goes on at the next layer and ends with the same weights. Only
 * the order of the data is random.
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
    if (made === undefined) return; // it stays dense
    await this.model.restoreLayer(layer, made.weight, made.mask, this.state.layers[layer]?.kept as number);
  }
}
