/**
 * Sparse weights: the space of `sparse_magnitude` and `sparsegpt`.
 *
 * @module torchsearch/sparsity
 */
export type { SparseConfig } from "../sparsity/convert";
export type { SparsityPattern } from "../sparsity/pattern";
export {
  type DenseParameter,
  type DensityConfig,
  type LayerSparsity,
  SPARSE_METRICS,
  type SparseLayer,
  type SparseMetric,
  SparseSpace,
  type SparsifyOptions,
} from "../sparsity/space";
