/** The modes that come with the library, registered in the order in which lists show them. */
import type { QuantizeConfig } from "../quantization/convert";
import type { QuantizationSpace } from "../quantization/space";
import type { ConvertConfig } from "../space/convert";
import type { SearchSpace } from "../space/search-space";
import type { SparseConfig } from "../sparsity/convert";
import type { SparseSpace } from "../sparsity/space";
import { autoQuantize, type FormatSearchers } from "./quantize-mode";
import { type ModeDescriptor, register, type SpaceOf } from "./registry";
import { type SparseSearchers, sparsegpt, sparseMagnitude } from "./sparse-modes";
import { autonas, fastnas, type WidthSearchers } from "./width-modes";

/** The modes that come with the library: the config, the space, the searchers and the default searcher of each. */
export interface ModeMap {
  /** Widths and blocks of a trained model. */
  fastnas: ModeDescriptor<ConvertConfig, SearchSpace, WidthSearchers, "binary">;
  /** Widths and blocks of a supernet. */
  autonas: ModeDescriptor<ConvertConfig, SearchSpace, WidthSearchers, "evolve">;
  /** Number formats of layers. */
  auto_quantize: ModeDescriptor<QuantizeConfig, QuantizationSpace, FormatSearchers, "milp">;
  /** Sparse weights: the largest ones stay. */
  sparse_magnitude: ModeDescriptor<SparseConfig, SparseSpace, SparseSearchers, "magnitude">;
  /** Sparse weights, adjusted to what their layers read. */
  sparsegpt: ModeDescriptor<SparseConfig, SparseSpace, SparseSearchers, "sparsegpt">;
}
/** The name of a mode that comes with the library. */
export type Mode = keyof ModeMap;
/** The space that `convert` makes by a mode of the library. Its type says which mode that was. */
export type Converted<Name extends Mode> = SpaceOf<ModeMap[Name]> & { readonly mode: Name };

const BUILT_IN: ModeMap = {
  fastnas,
  autonas,
  auto_quantize: autoQuantize,
  sparse_magnitude: sparseMagnitude,
  sparsegpt,
};
for (const mode of Object.values(BUILT_IN)) register(mode);
