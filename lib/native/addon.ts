/** All exports of the C++ addon. `types/` declares them, one file a native class or function group. */
import { loadNative } from "./load";
import type { CallExports } from "./types/call";
import type { DatasetExports } from "./types/dataset";
import type { DeviceExports } from "./types/device";
import type { EvaluateExports } from "./types/evaluate";
import type { GroupStoreExports } from "./types/group-store";
import type { ImageExports } from "./types/image";
import type { ImportanceExports } from "./types/importance";
import type { LibraryExports } from "./types/library";
import type { ModuleExports } from "./types/module";
import type { NumberFormatExports } from "./types/number-format";
import type { ProfileExports } from "./types/profile";
import type { QuantizationSpaceExports } from "./types/quantization-space";
import type { ReconstructionExports } from "./types/reconstruction";
import type { ScoreExports } from "./types/score";
import type { SearchSpaceExports } from "./types/search-space";
import type { SparseSpaceExports } from "./types/sparse-space";
import type { TensorExports } from "./types/tensor";
import type { TrainerExports } from "./types/trainer";

export interface NativeAddon
  extends CallExports,
    DatasetExports,
    DeviceExports,
    EvaluateExports,
    GroupStoreExports,
    ImageExports,
    ImportanceExports,
    LibraryExports,
    ModuleExports,
    NumberFormatExports,
    ProfileExports,
    QuantizationSpaceExports,
    ReconstructionExports,
    ScoreExports,
    SearchSpaceExports,
    SparseSpaceExports,
    TensorExports,
    TrainerExports {}

/**
 * The addon; loaded, together with LibTorch, at the first call. Only the functions of lib/native call it, which
 * .dependency-cruiser.cjs holds.
 */
export function addon(): NativeAddon {
  return loadNative<NativeAddon>();
}
