/** What `compress()` keeps in its checkpoint: the steps that were done, with the names of their files. */

import { type CheckpointClaim, claimCheckpoint } from "../contract/checkpoint-claim";
import {
  type CheckpointFormat,
  forgetPrevious,
  readCheckpointFile,
  storedJson,
  storedRecord,
  writeCheckpointFile,
} from "../data/checkpoint-file";
import { TorchSearchError } from "../errors";
import type { TriedImportance } from "../space/importance";
import { isRecord } from "../util/check";
import { listed } from "../util/listed";
import type { StepRecord } from "./plan";
import { storedImportances, storedLearningRate, storedSteps } from "./stored-steps";

const FORMAT: CheckpointFormat = {
  name: "torchsearch-compression",
  version: 2,
  what: "a checkpoint of compress",
};

/** The state of a compression. */
export interface CompressState {
  records: StepRecord[];
  /** What `importance: "auto"` tried; null before, or without it. */
  importances: TriedImportance[] | null;
  /** What the next step's training takes; null before it was tried. */
  learningRate: number | null;
  /** Seconds of all runs. */
  seconds: number;
}

/** The checkpoint of one run; without a file, every method but {@link state} does nothing. */
export class CompressSaver {
  readonly state: CompressState = { records: [], importances: null, learningRate: null, seconds: 0 };
  readonly #begun = performance.now();
  #earlier = 0;
  #claim: CheckpointClaim | null = null;

  /**
   * @param fingerprint the full model's
   * @param settings what must be the same in a resumed run
   */
  constructor(
    readonly file: string | null,
    private readonly fingerprint: string,
    private readonly settings: Readonly<Record<string, unknown>>,
  ) {}

  /** Seconds of this run and of those before it. */
  get seconds(): number {
    return this.#earlier + (performance.now() - this.#begun) / 1000;
  }

  /**
   * Claims the file, and goes on from what it holds.
   *
   * @throws `ERR_CHECKPOINT_IN_USE`, `ERR_CHECKPOINT_MODEL`, `ERR_CHECKPOINT_OPTIONS`, `ERR_DATA_CHANGED`,
   *   `ERR_CHECKPOINT_CORRUPT`
   */
  async begin(): Promise<void> {
    if (this.file === null) return;
    const { file } = this;
    this.#claim = await claimCheckpoint(file);
    const found = await readCheckpointFile(file, FORMAT, ({ metadata, state }) => ({
      fingerprint: metadata.fingerprint ?? "",
      settings: storedRecord(metadata.settings, "settings"),
      state: storedJson(state, "steps"),
    }));
    if (found === null) {
      await forgetPrevious(file);
      return this.save(); // from now on there is something to go on from
    }
    if (found.fingerprint !== this.fingerprint) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_MODEL",
        `Checkpoint ${file} was written for another model. Compress that one, or name another checkpoint file.`,
      );
    }
    const settings = JSON.parse(JSON.stringify(this.settings)) as Record<string, unknown>;
    const other = Object.keys({ ...settings, ...found.settings }).filter(
      (key) => JSON.stringify(settings[key]) !== JSON.stringify(found.settings[key]),
    );
    if (other.includes("dataDigest")) {
      throw new TorchSearchError(
        "ERR_DATA_CHANGED",
        `The data changed since ${file} was written: its ratings are of other data. ` +
          "Restore the data, name another checkpoint file, or delete it to start anew.",
      );
    }
    if (other.length > 0) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_OPTIONS",
        `Checkpoint ${file} was written with another ${listed(other)}. Give the same, or name another checkpoint file.`,
      );
    }
    const { records, importances, learningRate, seconds } = isRecord(found.state) ? found.state : {};
    try {
      if (!Number.isFinite(seconds) || (seconds as number) < 0) throw new Error("its seconds are no number");
      Object.assign(this.state, {
        records: storedSteps(records),
        importances: storedImportances(importances),
        learningRate: storedLearningRate(learningRate),
        seconds,
      });
    } catch (error) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_CORRUPT",
        `Checkpoint ${file} can't be used: ${(error as Error).message}. Start a new one at another path.`,
        { cause: error },
      );
    }
    this.#earlier = this.state.seconds;
  }

  /** Adds a step that was done, and writes the file. */
  async add(record: StepRecord): Promise<void> {
    this.state.records.push(record);
    this.state.learningRate = null;
    await this.save();
  }

  async save(): Promise<void> {
    if (this.file === null) return;
    this.state.seconds = this.seconds;
    const metadata = { fingerprint: this.fingerprint, settings: JSON.stringify(this.settings) };
    await writeCheckpointFile(
      this.file,
      FORMAT,
      { metadata, state: JSON.stringify(this.state), tensors: new Map() },
      { keepPrevious: true },
    );
  }

  /** Lets others use the file. */
  async end(how: "well" | "early"): Promise<void> {
    await this.#claim?.release(how);
    this.#claim = null;
  }
}
