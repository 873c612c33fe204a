/** The modes that make weights sparse. */
import { SparseGptSearcher } from "../search/sparse/sparse-gpt";
import { SparseMagnitudeSearcher } from "../search/sparse/sparse-magnitude";
import { convertSparse, SPARSE_DEFAULTS, SPARSE_RULES, type SparseConfig } from "../sparsity/convert";
import type { SparseSpace } from "../sparsity/space";
import type { ModeDescriptor } from "./registry";

/** The searchers of a space of sparse weights, by the names that `search` and the command know. */
export const SPARSE_SEARCHERS = { magnitude: SparseMagnitudeSearcher, sparsegpt: SparseGptSearcher } as const;
/** The searchers of a space of sparse weights. */
export type SparseSearchers = typeof SPARSE_SEARCHERS;

/** Makes a mode of sparse weights. */
function sparseMode<Default extends keyof SparseSearchers>(
  name: string,
  defaultSearcher: Default,
  description: string,
): ModeDescriptor<SparseConfig, SparseSpace, SparseSearchers, Default> {
  return {
    name,
    description,
    defaults: SPARSE_DEFAULTS,
    rules: SPARSE_RULES,
    convert: (module, dummyInput, config, from) => convertSparse(name, module, dummyInput, config, from),
    searchers: SPARSE_SEARCHERS,
    defaultSearcher,
  };
}

/** The largest weights stay. */
export const sparseMagnitude = sparseMode(
  "sparse_magnitude",
  "magnitude",
  "sparse weights: the largest ones stay",
);
/** SparseGPT: what stays makes up for what goes. */
export const sparsegpt = sparseMode(
  "sparsegpt",
  "sparsegpt",
  "sparse weights, adjusted to what the layers read (SparseGPT)",
);
