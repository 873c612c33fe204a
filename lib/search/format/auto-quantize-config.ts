import type { SearchConfig } from "../../contract/config";
import type { Loss } from "../../evaluation/losses";
import type { ClassDimension } from "../../evaluation/output-scores";
import type { CollectFunction } from "../../evaluation/types";
import type { SolverConfig } from "../solver/rounds";
import type { FormatSensitivity } from "./format-sensitivity";

/** The config of `AutoQuantizeSearcher`. `dataLoader` calibrates and measures; it must be given. */
export interface AutoQuantizeConfig extends SearchConfig, SolverConfig {
  /** How sensitivities are measured. */
  sensitivity: FormatSensitivity;
  /** The loss that `gradient` is of. It is computed natively. */
  loss: Loss;
  /** Picks the target out of a batch, for `gradient`; null takes the batch's second element. */
  targetFunc: CollectFunction | null;
  /** Which tensor of the output sensitivities are of; as in `ScoreOptions`. */
  outputKey: string | null;
  /** Where the classes of an output are; as in `ScoreOptions`. */
  classDimension: ClassDimension | null;
  /** At most so many batches for calibration; null takes `maxIterDataLoader`. */
  calibrationBatches: number | null;
  /** At most so many batches for sensitivities; null takes `maxIterDataLoader`. */
  sensitivityBatches: number | null;
}
