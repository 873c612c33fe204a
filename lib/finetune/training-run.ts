/** The loop of training: epochs, scores, the best weights, checkpoints. */

import { requireWritableCheckpoint } from "../contract/checkpoint";
import {
  batchCount,
  type DataSource,
  elementAt,
  firstElement,
  ownsBatches,
  splitInputs,
  walkBatches,
} from "../data/data-source";
import { closeTensors, isTensor } from "../data/raw-tensor";
import { TensorDataLoader } from "../data/tensor-loader";
import { TorchSearchError } from "../errors";
import { scoreOf, wrapFailure } from "../evaluation/failures";
import type { Module } from "../model/module";
import { Tensor } from "../model/tensor";
import { toNative } from "../model/values";
import type { NativeTrainer } from "../native/addon";
import { callNative } from "../native/call";
import { abortError, isAbort, throwIfAborted } from "../util/abort";
import { expected } from "../util/check";
import { readTrainingCheckpoint, writeTrainingCheckpoint } from "./checkpoint";
import { type BatchGradient, requireGradient } from "./loss-function";
import type { CompleteOptions, TrainingOptions } from "./options";

/** An epoch that is over. */
export interface EpochRecord {
  /** Counted from 1. */
  epoch: number;
  /** Steps done by its end, in all epochs. */
  steps: number;
  /** Mean of its batches' losses. */
  loss: number;
  /** Of its last step. */
  learningRate: number;
  /** After it; null without a `scoreFunc`. */
  score: number | null;
}

/** What a progress event of training carries as `details`. */
export interface TrainingProgress {
  /** Steps done. */
  step: number;
  /** Counted from 1. */
  epoch: number;
  /** Of the last step. */
  loss: number;
  /** Of the last step. */
  learningRate: number;
  /** Null until it is known. */
  samplesPerSecond: number | null;
  [key: string]: unknown;
}

/** How far training is, as a checkpoint keeps it. */
export interface TrainingState {
  steps: number;
  /** Of the epoch that is being trained, counted from 0. */
  epoch: number;
  /** Losses of its batches so far. */
  losses: number[];
  epochs: EpochRecord[];
  /** Score before the first step; null without a `scoreFunc`, or when it was not taken yet. */
  before: number | null;
  best: { epoch: number; score: number } | null;
  /** Score of the weights in the end. */
  score: number | null;
  recalibratedBatches: number;
  finished: boolean;
}

/** How much there is to do. */
export interface TrainingLength {
  /** Null where it is not known beforehand. */
  totalSteps: number | null;
  /** Null where steps are counted. */
  epochs: number | null;
}

/** @throws `ERR_CONFIG_VALUE` where a cosine's end is not known */
export function lengthOf(source: DataSource, options: CompleteOptions<TrainingOptions>): TrainingLength {
  if (options.steps !== null) return { totalSteps: options.steps, epochs: null };
  const epochs = options.epochs ?? 1;
  const batches = batchCount(source);
  if (batches === null && options.schedule === "cosine") {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      'the loader does not tell its number of batches, so the cosine\'s end is not known: give steps, or schedule: "constant"',
    );
  }
  return { totalSteps: batches === null ? null : epochs * batches, epochs };
}

/** What a run needs beside the options. */
export interface TrainingParts {
  /** Whose weights are trained. */
  module: Pick<Module, "closed" | "fingerprint">;
  /** Its score now; null for none. */
  rate: (() => Promise<number>) | null;
  trainer: NativeTrainer;
  source: DataSource;
  length: TrainingLength;
  /** Options that must be the same when training is resumed. */
  settings: Record<string, unknown>;
  annotations: Record<string, unknown>;
  needsTarget: boolean;
  lossFunc: BatchGradient | null;
  recalibrate: boolean;
}

export class TrainingRun {
  readonly state: TrainingState = {
    steps: 0,
    epoch: 0,
    losses: [],
    epochs: [],
    before: null,
    best: null,
    score: null,
    recalibratedBatches: 0,
    finished: false,
  };
  readonly #parts: TrainingParts;
  readonly #options: CompleteOptions<TrainingOptions>;
  #fingerprint = "";
  #saved = performance.now();
  #samples = 0;
  #seconds = 0;

  constructor(parts: TrainingParts, options: CompleteOptions<TrainingOptions>) {
    this.#parts = parts;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { state } = this;
    await this.#resume();
    if (state.finished) return;
    try {
      if (state.steps === 0 && state.losses.length === 0) await this.#begin();
      // A checkpoint after the very last step has an epoch that is yet to be ended.
      while (!this.#isDone() || state.losses.length > 0) {
        if (!this.#isDone()) await this.#trainEpoch();
        await this.#endEpoch();
      }
      await this.#end();
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  #isDone(): boolean {
    const { totalSteps, epochs } = this.#parts.length;
    if (totalSteps !== null && this.state.steps >= totalSteps) return true;
    return epochs !== null && this.state.epoch >= epochs;
  }

  #call<T>(run: Parameters<typeof callNative<T>>[0]): Promise<T> {
    return callNative(run);
  }

  async #begin(): Promise<void> {
    this.state.before = await this.#score();
    if (this.state.before !== null) this.state.best = { epoch: 0, score: this.state.before };
    await this.#call((call) => this.#parts.trainer.keep(call));
  }

  async #trainEpoch(): Promise<void> {
    const { source, lossFunc } = this.#parts;
    const { collectFunc, targetFunc } = this.#options;
    if (source instanceof TensorDataLoader && !collectFunc && !targetFunc && lossFunc === null)
      await this.#trainNatively(source);
    else await this.#trainByBatches();
  }

  async #trainNatively(loader: TensorDataLoader): Promise<void> {
    const { state } = this;
    const { trainer, needsTarget, length } = this.#parts;
    const { shuffle, signal, checkpoint, checkpointSeconds } = this.#options;
    const target = needsTarget ? loader.indexOf(1) : -1;
    if (target === null) throw noTarget();
    while (state.losses.length < loader.batches && !this.#isDone()) {
      throwIfAborted(signal);
      const first = state.losses.length;
      const left = length.totalSteps === null ? loader.batches : length.totalSteps - state.steps;
      const since = (performance.now() - this.#saved) / 1000;
      const { losses, samples, seconds } = await callNative(
        (call) =>
          trainer.run(
            loader.native,
            {
              inputs: [0],
              target,
              ...(shuffle && { epoch: state.epoch }),
              first,
              count: Math.min(left, loader.batches - first),
              ...(checkpoint !== null && { seconds: Math.max(0, checkpointSeconds - since) }),
            },
            call,
          ),
        signal,
        () => this.#tell(),
      );
      this.#samples += samples;
      this.#seconds += seconds;
      state.losses.push(...losses);
      state.steps += losses.length;
      throwIfAborted(signal);
      await this.#saveNowAndThen();
    }
    if (loader.batches === 0) {
      throw new TorchSearchError("ERR_EMPTY_LOADER", "The data loader gave no batch; give it at least one.");
    }
  }

  async #trainByBatches(): Promise<void> {
    const { state } = this;
    const { source, needsTarget, lossFunc } = this.#parts;
    const { collectFunc, targetFunc, signal } = this.#options;
    const collect = (collectFunc ?? firstElement) as (batch: unknown) => unknown;
    const pick = (targetFunc ?? ((batch: unknown) => elementAt(batch, 1))) as (batch: unknown) => unknown;
    let position = 0;
    for await (const batch of walkBatches(source, null, signal)) {
      try {
        position += 1;
        if (position <= state.losses.length) continue; // trained on before the run was interrupted
        const start = performance.now();
        const { args, kwargs } = splitInputs(collect(batch));
        const loss =
          lossFunc === null
            ? await this.#stepOn(args, kwargs, needsTarget ? pick(batch) : null)
            : await this.#stepBy(lossFunc, args, kwargs, batch);
        state.losses.push(loss);
        state.steps += 1;
        this.#seconds += (performance.now() - start) / 1000;
        this.#samples += (args.find(isTensor) as Tensor | undefined)?.shape[0] ?? 1;
        this.#tell();
      } finally {
        if (ownsBatches(source)) closeTensors(batch);
      }
      if (this.#isDone()) break;
      throwIfAborted(signal);
      await this.#saveNowAndThen();
    }
  }

  async #stepOn(args: unknown[], kwargs: Record<string, unknown>, target: unknown): Promise<number> {
    if (target !== null && !isTensor(target))
      throw expected("ERR_BATCH", "a tensor", "the target of a batch", target);
    const { trainer } = this.#parts;
    return callNative(
      (call) =>
        trainer.step(
          toNative(args) as unknown[],
          toNative(kwargs) as Record<string, unknown>,
          target === null ? null : (target as Tensor).native,
          call,
        ),
      this.#options.signal,
    );
  }

  async #stepBy(
    lossFunc: BatchGradient,
    args: unknown[],
    kwargs: Record<string, unknown>,
    batch: unknown,
  ): Promise<number> {
    const { trainer } = this.#parts;
    const output = Tensor.wrap(
      await callNative(
        (call) =>
          trainer.begin(toNative(args) as unknown[], toNative(kwargs) as Record<string, unknown>, call),
        this.#options.signal,
      ),
    );
    try {
      const { loss, gradient } = requireGradient(await lossFunc(output, batch as never));
      try {
        return await this.#call((call) => trainer.finish(loss, gradient.native, call));
      } finally {
        gradient.close();
      }
    } catch (error) {
      if (!this.#parts.module.closed) await this.#call((call) => trainer.abandon(call));
      throw wrapFailure(error, this.#options.signal, "ERR_LOSS_FAILED", "lossFunc");
    } finally {
      output.close();
    }
  }

  async #endEpoch(): Promise<void> {
    const { state } = this;
    const { trainer } = this.#parts;
    const score = await this.#score();
    const losses = state.losses;
    state.epochs.push({
      epoch: state.epoch + 1,
      steps: state.steps,
      loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length,
      learningRate: trainer.status().learningRate,
      score,
    });
    // Of equal scores the later one, which has seen more data.
    if (score === null || state.best === null || score >= state.best.score) {
      await this.#call((call) => trainer.keep(call));
      if (score !== null) state.best = { epoch: state.epoch + 1, score };
    }
    state.epoch += 1;
    state.losses = [];
    await this.#save();
    throwIfAborted(this.#options.signal);
  }

  async #end(): Promise<void> {
    const { state } = this;
    const { trainer, recalibrate } = this.#parts;
    await this.#call((call) => trainer.restoreKept(call));
    state.score = state.best?.score ?? null;
    if (recalibrate) {
      try {
        state.recalibratedBatches = await this.#recalibrate();
        if (state.recalibratedBatches > 0) state.score = await this.#score();
      } catch (error) {
        if (!this.#parts.module.closed) await this.#call((call) => trainer.restoreKept(call));
        throw error;
      }
    }
    state.finished = true;
    await this.#save();
  }

  async #recalibrate(): Promise<number> {
    const { trainer, source } = this.#parts;
    const { collectFunc, signal } = this.#options;
    const tell = (done: number): void =>
      this.#options.onProgress?.({
        phase: "recalibrate",
        done,
        total: batchCount(source),
        message: "Averaging the batch norms' statistics",
      });
    if (source instanceof TensorDataLoader && !collectFunc) {
      return callNative(
        (call) => trainer.recalibrate(source.native, { inputs: [0] }, call),
        signal,
        ({ done }) => tell(done),
      );
    }
    const collect = (collectFunc ?? firstElement) as (batch: unknown) => unknown;
    let done = 0;
    for await (const batch of walkBatches(source, null, signal)) {
      try {
        const { args, kwargs } = splitInputs(collect(batch));
        const found = await callNative(
          (call) =>
            trainer.recalibrateBatch(
              toNative(args) as unknown[],
              toNative(kwargs) as Record<string, unknown>,
              done,
              call,
            ),
          signal,
        );
        if (!found) return 0;
        done += 1;
        tell(done);
      } finally {
        if (ownsBatches(source)) closeTensors(batch);
      }
    }
    return done;
  }

  async #score(): Promise<number | null> {
    const { rate } = this.#parts;
    return rate === null ? null : scoreOf(rate, this.#options.signal);
  }

  #tell(): void {
    const { onProgress } = this.#options;
    if (onProgress === null) return;
    const { steps, loss, learningRate } = this.#parts.trainer.status();
    const { totalSteps } = this.#parts.length;
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

  /** What a failure leaves behind: see `finetune()`. */
  async #failed(error: unknown): Promise<unknown> {
    const { signal } = this.#options;
    const { module, trainer } = this.#parts;
    if (module.closed) return error;
    if (isAbort(error) && signal?.aborted) {
      if (!this.state.finished) await this.#save();
      return abortError(signal);
    }
    if (!(error instanceof TorchSearchError) || !["ERR_LOSS_NAN", "ERR_SCORE_NAN"].includes(error.code))
      return error;
    await this.#call((call) => trainer.restoreKept(call));
    const since = this.state.best?.epoch ?? this.state.epochs.at(-1)?.epoch ?? 0;
    const place = since === 0 ? "before training" : `after epoch ${since}`;
    return new TorchSearchError(
      error.code,
      `${error.message} The weights are back at what they were ${place}.`,
      {
        cause: error,
      },
    );
  }

  async #resume(): Promise<void> {
    const file = this.#options.checkpoint;
    if (file === null) return;
    await requireWritableCheckpoint(file);
    const now = await this.#parts.module.fingerprint({ signal: this.#options.signal });
    this.#fingerprint = now;
    const checkpoint = await readTrainingCheckpoint<TrainingState>(file);
    if (checkpoint === null) return;
    try {
      if (checkpoint.fingerprint !== now && checkpoint.fingerprintNow !== now) {
        throw new TorchSearchError(
          "ERR_CHECKPOINT_MODEL",
          `Checkpoint ${file} was written for another model, or for this one with other weights. Train that model, or name another checkpoint file.`,
        );
      }
      const settings = JSON.parse(JSON.stringify(this.#parts.settings)) as Record<string, unknown>;
      const other = Object.keys({ ...settings, ...checkpoint.settings }).filter(
        (key) => JSON.stringify(settings[key]) !== JSON.stringify(checkpoint.settings[key]),
      );
      if (other.length > 0) {
        throw new TorchSearchError(
          "ERR_CHECKPOINT_OPTIONS",
          `Checkpoint ${file} was written with another ${other.join(", ")}. Give the same, or name another checkpoint file.`,
        );
      }
      this.#fingerprint = checkpoint.fingerprint;
      Object.assign(this.state, checkpoint.state);
      const tensors = checkpoint.tensors.map(({ name, tensor }) => ({ name, tensor: tensor.native }));
      await this.#call((call) => this.#parts.trainer.load(tensors, checkpoint.state.steps, call));
    } finally {
      for (const { tensor } of checkpoint.tensors) tensor.close();
    }
    this.#saved = performance.now();
  }

  async #saveNowAndThen(): Promise<void> {
    const { checkpoint, checkpointSeconds } = this.#options;
    if (checkpoint === null || (performance.now() - this.#saved) / 1000 < checkpointSeconds) return;
    await this.#save();
  }

  async #save(): Promise<void> {
    const file = this.#options.checkpoint;
    if (file === null) return;
    const { module, trainer, settings, annotations } = this.#parts;
    const tensors = (await this.#call((call) => trainer.state(call))).map(({ name, tensor }) => ({
      name,
      tensor: Tensor.wrap(tensor),
    }));
    try {
      await writeTrainingCheckpoint(file, {
        fingerprint: this.#fingerprint,
        fingerprintNow: await module.fingerprint(),
        settings,
        annotations,
        state: this.state,
        tensors,
      });
    } finally {
      for (const { tensor } of tensors) tensor.close();
    }
    this.#saved = performance.now();
  }
}

function noTarget(): TorchSearchError {
  return new TorchSearchError(
    "ERR_BATCH",
    "The batches have no second element to take as the target; add the targets to the loader, give targetFunc, or learn from a teacher alone (alpha: 1).",
  );
}
