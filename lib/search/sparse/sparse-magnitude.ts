import type { LayerSparsity } from "../../sparsity/space";
import { type SparseSearchConfig, SparseSearcher, type SparseSearchState } from "./sparse-searcher";

/** The config of {@link SparseMagnitudeSearcher}. */
export type SparseMagnitudeConfig = SparseSearchConfig;
/** What {@link SparseMagnitudeSearcher} keeps. */
export type SparseMagnitudeState = SparseSearchState;

/**
 * Magnitude sparsity. At density d, the share d of the weights w with the largest |w| stays, unchanged, in each layer
 * or over all layers (`scope`) (Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NIPS
 * 2015). With a pattern N:M, the N weights with the largest |w| of each M neighbours stay (Mishra et al., "Accelerating
 * Sparse Deep Neural Networks", 2021). Of equal weights, the first stay.
 *
 * It needs no data. With data (`dataLoader` or `forwardLoop`), it measures the error that each layer makes in its
 * outputs.
 *
 * @throws from `search`: `ERR_ARGUMENT`, `ERR_CHOICE`, `ERR_UNKNOWN_LAYER`, `ERR_CONSTRAINT_VALUE`, `ERR_WEIGHT_NAN`,
 *   with data `ERR_ACTIVATION_NAN`; what `BaseSearcher.search` throws
 *
 * @example
 * ```ts
 * const sparse = await convert(module, "sparse_magnitude", dummyInput, { pattern: "unstructured" });
 * const { subnet } = await new SparseMagnitudeSearcher().search(sparse, {}, dummyInput, { density: 0.5 });
 * await subnet.save("sparse.pt");
 * ```
 */
export class SparseMagnitudeSearcher extends SparseSearcher<SparseMagnitudeState, SparseMagnitudeConfig> {
  get defaultStateDict(): SparseMagnitudeState {
    return this.emptyState;
  }

  protected get decisive(): string {
    return "magnitude";
  }

  protected sparsify(layer: string, density: number): Promise<LayerSparsity> {
    return this.model.sparsify(layer, density, { method: "magnitude", signal: this.config.signal });
  }

  protected async redo(layer: string, density: number): Promise<void> {
    await this.sparsify(layer, density);
  }
}
