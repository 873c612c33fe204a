/** The modes that make weights sparse. */
import { SparseGptSearcher } from "../search/sparse/sparse-gpt";
import { SparseMagnitudeSearcher } from "../search/sparse/sparse-magnitude";
import { convertSparse, SPARSE_DEFAULTS, SPARSE_RULES, type SparseConfig } from "../sparsity/convert";
import type { SparseSpace } from "../sparsity/space";
import { type ModeDescriptor, registerMode } from "./registry";
// Registered first, so that these stand first in lists.
import "./width-modes";

const searchers = { magnitude: SparseMagnitudeSearcher, sparsegpt: SparseGptSearcher } as const;

function sparseMode<Name extends string>(
  name: Name,
  defaultSearcher: keyof typeof searchers,
  description: string,
): ModeDescriptor<SparseConfig, SparseSpace> & { name: Name } {
  const mode: ModeDescriptor<SparseConfig, SparseSpace> & { name: Name } = {
    name,
    description,
    defaults: SPARSE_DEFAULTS,
    rules: SPARSE_RULES,
    convert: (module, dummyInput, config, from) => convertSparse(name, module, dummyInput, config, from),
    searchers,
    defaultSearcher,
  };
  registerMode(mode);
  return mode;
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
