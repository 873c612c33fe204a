/** The base of all spaces: they run, are never trained, are identified, exported and closed. */
import { TorchSearchError } from "../errors";
import { requireClaimedPatterns } from "../model/claimed-patterns";
import { forwardNative } from "../model/forward";
import { Module } from "../model/module";
import { recordExport } from "../model/record-export";
import type { CallOptions, Output } from "../model/types";
import { callNative } from "../native/call";
import type { NativeCall } from "../native/types/call";
import type { NativeForwardable, NativeModule } from "../native/types/module";
import { throwIfAborted } from "../util/abort";
import { isRecord, requireOptions } from "../util/check";
import type { ExportOptions } from "./mode-space";

/** The native handle of a space. */
export interface NativeEvaluationSpace extends NativeForwardable {
  readonly device: string;
  readonly closed: boolean;
  close(): void;
}

/** A model with parts that can be chosen. It is for evaluation: train the module that its `export` gives. */
export abstract class EvaluationSpace<Native extends NativeEvaluationSpace> {
  /** @internal The native handle. */
  readonly native: Native;

  protected constructor(native: Native) {
    this.native = native;
  }

  /** Says that there is no training mode, and what to do instead. */
  protected abstract get noTraining(): string;

  /** Identifies the space. It doesn't depend on the selection. */
  protected abstract get digest(): string;

  /**
   * Runs the model as it is chosen now. Arguments follow `torch.onnx.export`'s `args`: a plain record in last place
   * holds keyword arguments; to pass a record as the last positional argument, append an empty one.
   *
   * @throws `ERR_INPUT`, `ERR_FORWARD`, `ERR_CLOSED`, `ERR_OUT_OF_MEMORY`; `ERR_NOT_CALIBRATED` where a format needs
   *   calibration
   */
  forward(...inputs: unknown[]): Promise<Output> {
    const last = inputs.at(-1);
    return isRecord(last) ? this.forwardWith(inputs.slice(0, -1), last) : this.forwardWith(inputs);
  }

  /** As {@link forward}, with positional and keyword arguments apart, and a signal. */
  forwardWith(
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: CallOptions = {},
  ): Promise<Output> {
    return forwardNative(this.native, args, kwargs, options);
  }

  /**
   * Hexadecimal SHA-256 of the converted module's graph and weights, the mode and the settings of the conversion. It
   * doesn't depend on what is selected. A `SearchSpace` also counts what was added to it, and weights that
   * `trainSupernet()` changed.
   */
  async fingerprint(options: CallOptions = {}): Promise<string> {
    requireOptions(options, "fingerprint");
    throwIfAborted(options.signal);
    return this.digest;
  }

  /** Always false: a space is for evaluation. */
  get training(): boolean {
    return false;
  }

  /** @throws `ERR_NO_TRAINING` for anything but `false`: export a module and train that one */
  train(on = true): this {
    if (on) throw new TorchSearchError("ERR_NO_TRAINING", this.noTraining);
    return this;
  }

  /** Does nothing, since a space is always in evaluation mode. */
  eval(): this {
    return this;
  }

  /** Where the weights are. */
  get device(): string {
    return this.native.device;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.native.closed;
  }

  /** Lets go of the module, or frees the copy of it; the module that was converted stays open. */
  close(): void {
    this.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal Makes a module, and continues in it the history of the module that was converted. */
  protected async exported(
    make: (call: NativeCall) => Promise<NativeModule>,
    result: Readonly<Record<string, unknown>>,
    { signal, search }: ExportOptions,
  ): Promise<Module> {
    const module = Module.wrap(await callNative(make, signal));
    recordExport(module, this, result, search ?? null);
    try {
      await requireClaimedPatterns(module, module.history);
    } catch (error) {
      module.close();
      throw error;
    }
    return module;
  }
}
