import { resolve } from "node:path";

import { callNative } from "../native/call";
import { loadModule, readSampleInputs } from "../native/module";
import type { NativeModule } from "../native/types/module";
import type { NativeNamedTensor } from "../native/types/tensor";
import { isRecord, requireOptions, requirePath } from "../util/check";
import { checkConfig } from "../util/complete-config";
import { type ConfigRule, oneOf, orNull, plainRules } from "../util/rules";
import { warn } from "../util/warning";
import { FILE_FORMATS, formatOf } from "./file-format";
import { forwardNative } from "./forward";
import { type ModeRecord, readHistory } from "./history";
import { nativeInputsOf } from "./inputs";
import { Tensor } from "./tensor";
import type {
  CallOptions,
  Input,
  LoadOptions,
  NamedTensor,
  Output,
  SampleInputs,
  SaveOptions,
} from "./types";
import { fromNative } from "./values";

const LOAD_RULES: Readonly<Record<keyof LoadOptions, ConfigRule>> = {
  device: plainRules.text,
  allowUnsafe: {
    expected: 'an array of names such as "prim::Print"',
    accepts: (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  },
  maxModelBytes: plainRules.positiveInteger,
  timeoutMs: plainRules.positiveInteger,
  verify: plainRules.boolean,
  model: plainRules.text,
  signal: orNull(plainRules.signal),
};

const SAVE_RULES: Readonly<Record<keyof SaveOptions, ConfigRule>> = {
  format: orNull(oneOf(FILE_FORMATS)),
  input: { expected: "the inputs of a forward", accepts: () => true },
  signal: orNull(plainRules.signal),
};

/**
 * A TorchScript module, or an exported program as one. Calls run one after the other on a native thread, without recording gradients; the event
 * loop stays free. Close it when done (`close()`, or `using`).
 *
 * @example
 * ```ts
 * const classifier = await Module.load("classifier.pt");
 * const logits = await classifier.forward(Tensor.from(new Float32Array(64), [1, 1, 8, 8]));
 * console.log(classifier.namedParameters().length, logits);
 * classifier.close();
 * ```
 */
export class Module {
  /** @internal The native handle. */
  readonly native: NativeModule;

  /** The text of the unreadable history that a warning named last. */
  #warnedOf: string | null = null;

  /** Limits each forward. */
  readonly #timeoutMs: number | null;

  private constructor(native: NativeModule, timeoutMs: number | null = null) {
    this.native = native;
    this.#timeoutMs = timeoutMs;
  }

  /** @internal */
  static wrap(native: NativeModule): Module {
    return new Module(native);
  }

  /**
   * Loads a file written by `torch.jit.save`, or by `torch.export.save` (docs/exported-programs.md). Its content says
   * which it is.
   *
   * The file is checked before anything in it is made or run: see docs/security.md.
   *
   * @throws `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ` (also for a pipe or a device), `ERR_NOT_TORCHSCRIPT` for another or a
   * damaged file, `ERR_MODEL_TOO_LARGE`, `ERR_UNKNOWN_OPERATOR`, `ERR_UNKNOWN_CLASS`, `ERR_UNSAFE_OPERATOR`,
   * `ERR_EXPORTED_PROGRAM` and `ERR_UNSUPPORTED_EXPORT` for a `.pt2` file that is damaged, or has what this version does
   * not read, `ERR_MODEL_NAME` where it has several programs and `model` names none of them, `ERR_DEVICE`, `ERR_UNKNOWN_CONFIG_KEY` and `ERR_CONFIG_VALUE` for options, `ERR_ABORTED`
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Module> {
    const { signal, timeoutMs, ...native } = checkConfig(options, LOAD_RULES, {
      whole: "Module.load's options",
      key: "option of Module.load",
    }) as LoadOptions;
    const file = resolve(requirePath(path, "Module.load"));
    return new Module(await loadModule(file, native, { signal }), timeoutMs ?? null);
  }

  /**
   * The inputs with which an exported program (`.pt2`) was made, as its file keeps them. Null where there are none, or
   * others than tensors, numbers and texts in arrays and records, and for other files.
   *
   * @throws as {@link load}
   */
  static async sampleInputs(path: string, options: LoadOptions = {}): Promise<SampleInputs | null> {
    const {
      signal,
      timeoutMs: _,
      ...native
    } = checkConfig(options, LOAD_RULES, {
      whole: "Module.sampleInputs' options",
      key: "option of Module.sampleInputs",
    }) as LoadOptions;
    const file = resolve(requirePath(path, "Module.sampleInputs"));
    return fromNative(await readSampleInputs(file, native, { signal })) as SampleInputs | null;
  }

  /**
   * Runs the model. Arguments follow `torch.onnx.export`'s `args`: a plain record in last place holds keyword
   * arguments; to pass a record as the last positional argument, append an empty one or use {@link forwardWith}.
   *
   * @throws `ERR_INPUT` when count, names or types do not fit the model's signature (nothing has run then),
   * `ERR_FORWARD` when the model itself fails, `ERR_CLOSED`, `ERR_OUT_OF_MEMORY`
   */
  forward(...inputs: Input[]): Promise<Output> {
    const last = inputs[inputs.length - 1];
    return isRecord(last)
      ? this.forwardWith(inputs.slice(0, -1), last as Readonly<Record<string, Input>>)
      : this.forwardWith(inputs);
  }

  /** As {@link forward}, with positional and keyword arguments apart, and a signal. */
  forwardWith(
    args: readonly Input[],
    kwargs: Readonly<Record<string, Input>> = {},
    options: CallOptions = {},
  ): Promise<Output> {
    return forwardNative(this.native, args, kwargs, options, this.#timeoutMs);
  }

  /** The signature of `forward`, such as `forward(x: Tensor, scale: float = 1.) -> Tensor`. */
  get signature(): string {
    return this.native.forwardSchema();
  }

  /**
   * Saves as a TorchScript file, or as an exported program where the name ends with `.pt2` or the option `format` says
   * so (docs/exported-programs.md). It appears whole or not at all; an earlier file survives a failure.
   *
   * An exported program is what one forward did: it is recorded on the option `input`, in the module's mode. Without
   * that option it is recorded on the sample inputs of the exported program that the module comes from, or on those that
   * its search space was made with. What was written is read again and compared before the file gets its name.
   *
   * @throws `ERR_EXPORTED_WRITE` for a model that has what an exported program can't have, or where no inputs are
   * known; `ERR_INPUT`, `ERR_FORWARD`, `ERR_FILE_WRITE`, `ERR_CLOSED`, `ERR_ABORTED`, `ERR_CONFIG_VALUE`,
   * `ERR_UNKNOWN_CONFIG_KEY`
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    const { signal, format, input } = checkConfig(options, SAVE_RULES, {
      whole: "Module.save's options",
      key: "option of Module.save",
    }) as SaveOptions;
    const file = resolve(requirePath(path, "save"));
    if (formatOf(file, format) === "torchscript") {
      await callNative((call) => this.native.save(file, call), signal);
      return;
    }
    const { args, kwargs } = input === undefined ? { args: null, kwargs: null } : nativeInputsOf(input);
    await callNative((call) => this.native.saveExported(file, args, kwargs, call), signal);
  }

  /**
   * The modes that made the model what it is, in order: what was converted, searched and exported, as its file records.
   * Empty for a model that comes straight from PyTorch. `save` keeps it, and an export of a model that was
   * exported before continues it.
   *
   * A damaged history, or one that a newer version wrote, counts as none, with a process warning whose code is
   * `ERR_HISTORY` or `ERR_HISTORY_VERSION`; the model is not affected, and `save` writes the text as it was.
   */
  get history(): readonly ModeRecord[] {
    const { records, problem, text } = readHistory(this.native);
    if (problem !== null && this.#warnedOf !== text) {
      this.#warnedOf = text;
      warn(problem.message, problem.code);
    }
    return records;
  }

  /**
   * Every parameter once, under its first name. Never waits: while a call runs on the module, these are the tensors
   * that it found.
   */
  namedParameters(): NamedTensor[] {
    return this.native.namedParameters().map(wrapNamed);
  }

  /**
   * Every buffer (a tensor that is not trained, such as a running mean) once, under its first name; as
   * {@link namedParameters}.
   */
  namedBuffers(): NamedTensor[] {
    return this.native.namedBuffers().map(wrapNamed);
  }

  /** Whether calls that are made now find the module in training mode, in which dropout drops and batch norm uses the batch's statistics. */
  get training(): boolean {
    return this.native.training;
  }

  /**
   * Switches training mode on, or off with `false`, for the calls that are made from now on: those that run or wait
   * already keep theirs.
   *
   * @throws `ERR_FROZEN` when a frozen module has no such mode, `ERR_CLOSED`
   */
  train(on = true): this {
    this.native.train(on)?.catch(() => undefined); // it can only have been closed meanwhile
    return this;
  }

  /** Switches training mode off. */
  eval(): this {
    return this.train(false);
  }

  /** Moves the weights to a device such as `cpu` or `cuda:0`; inputs follow by themselves. @throws `ERR_DEVICE` */
  async to(device: string, options: CallOptions = {}): Promise<this> {
    requireOptions(options, "Module.to");
    await callNative((call) => this.native.to(device, call), options.signal);
    return this;
  }

  /** Where the weights are. */
  get device(): string {
    return this.native.device;
  }

  /** Bytes of all parameters and buffers. */
  get bytes(): number {
    return this.native.bytes;
  }

  /** Hexadecimal SHA-256 of the graph and the weights. */
  async fingerprint(options: CallOptions = {}): Promise<string> {
    requireOptions(options, "Module.fingerprint");
    return callNative((call) => this.native.fingerprint(call), options.signal);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.native.closed;
  }

  /** Frees the weights as soon as no running call uses them. Every later use throws `ERR_CLOSED`. */
  close(): void {
    this.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function wrapNamed({ name, tensor }: NativeNamedTensor): NamedTensor {
  return { name, tensor: Tensor.wrap(tensor) };
}
