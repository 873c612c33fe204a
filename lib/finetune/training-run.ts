/** The loop of training: epochs, scores, and the best weights so far. */

import { TRAINS_ALONE } from "../distributed/shared-training";
import { TorchSearchError } from "../errors";
import { scoreOf } from "../evaluation/failures";
import { callNative } from "../native/call";
import { abortError, isAbort, throwIfAborted } from "../util/abort";
import type { CompleteOptions, TrainingOptions } from "./options";
import { recalibrateBatchNorms } from "./recalibration";
import { type StepContext, trainEpoch } from "./steps";
import { TrainingSaver } from "./training-saver";
import {
  initialState,
  type TrainingParts,
  type TrainingProgress,
  type TrainingState,
} from "./training-state";

/** One call of `finetune()` or `trainSupernet()`. */
export class TrainingRun implements StepContext {
  readonly state: TrainingState = initialState();
  readonly parts: TrainingParts;
  readonly options: CompleteOptions<TrainingOptions>;
  viewed = false;
  readonly #saver: TrainingSaver;
  #samples = 0;
  #seconds = 0;

  constructor(parts: TrainingParts, options: CompleteOptions<TrainingOptions>) {
    this.parts = parts;
    this.options = options;
    this.#saver = new TrainingSaver(parts, options, this.state);
  }

  async run(): Promise<void> {
    let ended: "well" | "early" = "early";
    try {
      await this.#train();
      ended = "well";
    } catch (error) {
      throw await this.parts.share.failed(error);
    } finally {
      await this.#saver.end(ended);
    }
  }

  async #train(): Promise<void> {
    const { state } = this;
    await this.#saver.resume();
    await this.#agree("beginning", "put the checkpoint where every rank reads it under the same path");
    if (state.finished) return;
    await this.parts.share.connect(this.parts.trainer, this.options.signal);
    try {
      if (state.steps === 0 && state.losses.length === 0) await this.#begin();
      // A checkpoint after the very last step has an epoch that is not ended yet.
      while (!this.isDone() || state.losses.length > 0) {
        if (!this.isDone()) await trainEpoch(this);
        await this.#endEpoch();
      }
      await this.#end();
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  /** The fingerprint of the model as training found it; null where there is no checkpoint. */
  get from(): string | null {
    return this.#saver.fingerprint;
  }

  isDone(): boolean {
    const { totalSteps, epochs } = this.parts.length;
    if (totalSteps !== null && this.state.steps >= totalSteps) return true;
    return epochs !== null && this.state.epoch >= epochs;
  }

  secondsToSave(): number | null {
    return this.#saver.secondsToSave();
  }

  saveIfDue(): Promise<void> {
    return this.#saver.saveIfDue();
  }

  count(samples: number, seconds: number): void {
    this.#samples += samples;
    this.#seconds += seconds;
  }

  report(): void {
    const { onProgress } = this.options;
    if (onProgress === null) return;
    const { steps, loss, learningRate } = this.parts.trainer.status();
    const { totalSteps } = this.parts.length;
    const details: TrainingProgress = {
      step: steps,
      epoch: this.state.epoch + 1,
      loss,
      learningRate,
      samplesPerSecond: this.#seconds > 0 ? this.#samples / this.#seconds : null,
    };
    const message = `Training: step ${steps}${totalSteps === null ? "" : ` of ${totalSteps}`}, loss ${loss.toFixed(4)}`;
    onProgress({ phase: "train", done: steps, total: totalSteps, message, details });
  }

  /** @param what the name of the weights that are rated: another one for others */
  async #score(what = `step ${this.state.steps}`): Promise<number | null> {
    const { rate } = this.parts;
    return rate === null ? null : scoreOf(() => rate(what), this.options.signal);
  }

  /** Compares how far training is, and the weights, with the other ranks'. */
  async #agree(when: string, remedy: string): Promise<void> {
    const { share, module } = this.parts;
    if (share === TRAINS_ALONE) return;
    const { signal } = this.options;
    const { steps, epoch, finished } = this.state;
    const weights = await module.fingerprint({ signal });
    await share.agree({ steps, epoch, finished, weights }, { name: `state at the ${when}`, remedy }, signal);
  }

  /** Remembers the weights as the best so far. */
  #keep(): Promise<void> {
    return callNative((call) => this.parts.trainer.keep(call));
  }

  /** Brings the best weights so far back. */
  async #restoreKept(): Promise<void> {
    await callNative((call) => this.parts.trainer.restoreKept(call));
  }

  async #begin(): Promise<void> {
    this.state.before = await this.#score();
    if (this.state.before !== null) this.state.best = { epoch: 0, score: this.state.before };
    await this.#keep();
  }

  async #endEpoch(): Promise<void> {
    const { state } = this;
    const score = await this.#score();
    const { losses } = state;
    state.epochs.push({
      epoch: state.epoch + 1,
      steps: state.steps,
      loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length,
      learningRate: this.parts.trainer.status().learningRate,
      score,
    });
    // Of equal scores the later one wins: it has seen more data.
    if (score === null || state.best === null || score >= state.best.score) {
      await this.#keep();
      if (score !== null) state.best = { epoch: state.epoch + 1, score };
    }
    state.epoch += 1;
    state.losses = [];
    await this.#agree(
      `end of epoch ${state.epoch}`,
      "let nothing else change the module while it is trained",
    );
    await this.#saver.save();
    throwIfAborted(this.options.signal);
  }

  async #end(): Promise<void> {
    const { state, parts, options } = this;
    await this.#restoreKept();
    state.score = state.best?.score ?? null;
    if (parts.recalibrate) {
      try {
        state.recalibratedBatches = await recalibrateBatchNorms(parts, options);
        if (state.recalibratedBatches > 0)
          state.score = await this.#score(`step ${state.steps}, recalibrated`);
      } catch (error) {
        if (!parts.module.closed) await this.#restoreKept();
        throw error;
      }
    }
    state.finished = true;
    await this.#saver.save();
  }

  /** Leaves the weights as `finetune()` documents it for a failure. @returns the error to throw */
  async #failed(error: unknown): Promise<unknown> {
    const { signal } = this.options;
    if (this.parts.module.closed) return error;
    if (isAbort(error) && signal?.aborted) {
      if (!this.state.finished) await this.#saver.save();
      return abortError(signal);
    }
    if (!(error instanceof TorchSearchError) || !["ERR_LOSS_NAN", "ERR_SCORE_NAN"].includes(error.code))
      return error;
    await this.#restoreKept();
    const since = this.state.best?.epoch ?? this.state.epochs.at(-1)?.epoch ?? 0;
    const place = since === 0 ? "before training" : `after epoch ${since}`;
    const message = `${error.message} The weights are back at what they were ${place}.`;
    return new TorchSearchError(error.code, message, { cause: error });
  }
}
