/** When the state of training is saved, and how a run goes on from it. */

import { type CheckpointClaim, claimCheckpoint } from "../contract/checkpoint-claim";
import { forgetPrevious } from "../data/checkpoint-file";
import { TorchSearchError } from "../errors";
import { Tensor } from "../model/tensor";
import { callNative } from "../native/call";
import { readTrainingCheckpoint, writeTrainingCheckpoint } from "./checkpoint";
import type { CompleteOptions, TrainingOptions } from "./options";
import { isTrainingState } from "./sound-state";
import type { TrainingParts, TrainingState } from "./training-state";

/** The checkpoint of one run; without a file, every method does nothing. */
export class TrainingSaver {
  readonly #parts: TrainingParts;
  readonly #options: CompleteOptions<TrainingOptions>;
  readonly #state: TrainingState;
  /** Of the model as training found it. */
  #fingerprint = "";
  #saved = performance.now();
  #claim: CheckpointClaim | null = null;

  constructor(parts: TrainingParts, options: CompleteOptions<TrainingOptions>, state: TrainingState) {
    this.#parts = parts;
    this.#options = options;
    this.#state = state;
  }

  /** The fingerprint of the model as training found it; null without a file. */
  get fingerprint(): string | null {
    return this.#fingerprint === "" ? null : this.#fingerprint;
  }

  /**
   * Claims the file, and goes on from it where there is one: fills the state, and loads weights and optimizer.
   *
   * @throws `ERR_CHECKPOINT_IN_USE`, `ERR_CHECKPOINT_MODEL`, `ERR_CHECKPOINT_OPTIONS`, `ERR_CHECKPOINT_CORRUPT`, and
   *   what reading the file throws
   */
  async resume(): Promise<void> {
    const file = this.#options.checkpoint;
    if (file === null) return;
    const { module, trainer, share } = this.#parts;
    if (share.rank === 0) this.#claim = await claimCheckpoint(file);
    const now = await module.fingerprint({ signal: this.#options.signal });
    this.#fingerprint = now;
    const checkpoint = await readTrainingCheckpoint<unknown>(file);
    if (checkpoint === null) {
      if (share.rank === 0) await forgetPrevious(file); // of an earlier run
      return;
    }
    try {
      if (checkpoint.fingerprint !== now && checkpoint.fingerprintNow !== now) {
        throw new TorchSearchError(
          "ERR_CHECKPOINT_MODEL",
          `Checkpoint ${file} was written for another model, or for this one with other weights. ` +
            "Train that model, or name another checkpoint file.",
        );
      }
      this.#requireSameSettings(checkpoint.settings, file);
      const { state } = checkpoint;
      if (!isTrainingState(state)) {
        throw new TorchSearchError(
          "ERR_CHECKPOINT_CORRUPT",
          `Checkpoint ${file} can't be used: its state of training is none. Start a new one at another path.`,
        );
      }
      this.#fingerprint = checkpoint.fingerprint;
      Object.assign(this.#state, state);
      const tensors = checkpoint.tensors.map(({ name, tensor }) => ({ name, tensor: tensor.native }));
      await callNative((call) => trainer.load(tensors, state.steps, call));
    } finally {
      for (const { tensor } of checkpoint.tensors) tensor.close();
    }
    this.#saved = performance.now();
  }

  #requireSameSettings(recorded: Record<string, unknown>, file: string): void {
    const settings = JSON.parse(JSON.stringify(this.#parts.settings)) as Record<string, unknown>;
    const other = Object.keys({ ...settings, ...recorded }).filter(
      (key) => JSON.stringify(settings[key]) !== JSON.stringify(recorded[key]),
    );
    if (other.length === 0) return;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_OPTIONS",
      `Checkpoint ${file} was written with another ${other.join(", ")}. Give the same, or name another checkpoint file.`,
    );
  }

  /** Lets others use the file. */
  async end(how: "well" | "early"): Promise<void> {
    await this.#claim?.release(how);
    this.#claim = null;
  }

  /** Seconds until the state has to be saved; null without a file. */
  secondsToSave(): number | null {
    const { checkpoint, checkpointSeconds } = this.#options;
    if (checkpoint === null || this.#parts.share.rank !== 0) return null;
    return Math.max(0, checkpointSeconds - (performance.now() - this.#saved) / 1000);
  }

  async saveIfDue(): Promise<void> {
    if (this.secondsToSave() === 0) await this.save();
  }

  async save(): Promise<void> {
    const file = this.#options.checkpoint;
    const { module, trainer, settings, annotations, share } = this.#parts;
    if (file === null || share.rank !== 0) return;
    const tensors = (await callNative((call) => trainer.state(call))).map(({ name, tensor }) => ({
      name,
      tensor: Tensor.wrap(tensor),
    }));
    try {
      await writeTrainingCheckpoint(file, {
        fingerprint: this.#fingerprint,
        fingerprintNow: await module.fingerprint(),
        settings,
        annotations,
        state: this.#state,
        tensors,
      });
    } finally {
      for (const { tensor } of tensors) tensor.close();
    }
    this.#saved = performance.now();
  }
}
