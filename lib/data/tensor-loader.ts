import path from "node:path";
import { TorchSearchError } from "../errors";
import type { DType } from "../model/dtype";
import { Tensor } from "../model/tensor";
import { makeDataset } from "../native/dataset";
import type { NativeDataset } from "../native/types/dataset";
import { describe, expected, isPositiveInteger, isRecord, requireOptions } from "../util/check";
import { listed } from "../util/listed";
import { ArrayFile, readDataFile } from "./array-file";
import { OWNED_BATCHES } from "./data-source";
import { decodeNpy } from "./npy";
import { converted, isTensor, tensorFromFile } from "./raw-tensor";
import type { RawTensor } from "./safetensors";

/** How samples become batches. */
export interface LoaderOptions {
  /** Samples in a batch; default 64. The last batch may be smaller. */
  batchSize?: number;
  /**
   * Whether to put the samples in random order; default false. The order is the same in every pass, so that candidates
   * are compared on the same data even when only the first batches are used.
   */
  shuffle?: boolean;
  /** Seed of that order; default 0. */
  seed?: number;
  /** Whether to leave out a last batch that is smaller than the others; default false. */
  dropLast?: boolean;
}

/** The defaults of {@link LoaderOptions}. */
export const LOADER_DEFAULTS: Required<LoaderOptions> = {
  batchSize: 64,
  shuffle: false,
  seed: 0,
  dropLast: false,
};

/**
 * Options of loaders that read named arrays from a file.
 *
 * @typeParam Keys the list of `keys`; the batches' type has them
 */
export interface FileLoaderOptions<Keys extends readonly string[] = readonly string[]> extends LoaderOptions {
  /** The arrays to read, in order. By default models get the first one, and the second one is the target. */
  keys?: Keys;
}

/** @internal Arrays to convert when they are read. */
export interface Conversion {
  /** The new dtypes, by name. */
  dtypes: Readonly<Record<string, DType>>;
  /** Called with the name of an array that has other values afterwards. */
  onInexact(name: string): void;
  /** Gives a tensor in the place of another one, or the same one. */
  replace?(name: string, tensor: Tensor): Tensor;
}

/** A batch: tensors by position, or by name when the loader's tensors have names. */
export type TensorBatch = Tensor[] | Record<string, Tensor>;

/** The batches of a loader over these tensors or files: a list for lists (and one file), a record with the same keys for a record. */
export type BatchOf<Source> = Source extends string | readonly unknown[]
  ? Tensor[]
  : { [Key in keyof Source & string]: Tensor };

/**
 * A data loader over tensors in memory that share their first dimension, the samples. Where the model and the score are
 * native too, JavaScript never sees a batch. Iterated from JavaScript, each pass gives fresh tensors, which the caller
 * may close. Unless shuffled they share the loader's memory, so don't write to them.
 *
 * @typeParam Batch a batch, as far as the names of its tensors are known: `Record<"images" | "labels", Tensor>`
 *
 * @example
 * ```ts
 * const train = await TensorDataLoader.fromNpz("digits.npz", {
 *   keys: ["train_images", "train_labels"],
 *   batchSize: 64,
 *   shuffle: true,
 * });
 * const loss = await crossEntropy(train)(module);
 * console.log(train.samples, loss);
 * ```
 */
export class TensorDataLoader<Batch extends TensorBatch = TensorBatch> implements Iterable<Batch> {
  readonly [OWNED_BATCHES] = true;
  /** Names of the tensors, or null when they have none. */
  readonly keys: readonly string[] | null;
  /** Samples in all batches of a pass. */
  readonly samples: number;
  /** Batches in a pass. */
  readonly batches: number;
  /** Whether samples come in a random order. */
  readonly shuffled: boolean;
  /** @internal The native data set that both native loops and JavaScript take their batches from. */
  readonly native: NativeDataset;

  #tensors: readonly Tensor[];
  #owned: boolean;

  private constructor(
    tensors: readonly Tensor[],
    keys: readonly string[] | null,
    owned: boolean,
    options: LoaderOptions,
  ) {
    const {
      batchSize = LOADER_DEFAULTS.batchSize,
      shuffle = LOADER_DEFAULTS.shuffle,
      seed = LOADER_DEFAULTS.seed,
      dropLast = LOADER_DEFAULTS.dropLast,
    } = options;
    if (!isPositiveInteger(batchSize))
      throw expected("ERR_ARGUMENT", "a whole number of at least 1", "batchSize", batchSize);
    if (!Number.isSafeInteger(seed)) throw expected("ERR_ARGUMENT", "a whole number", "seed", seed);
    requireSameLength(tensors, keys);
    this.keys = keys;
    this.shuffled = shuffle;
    this.#tensors = tensors;
    this.#owned = owned;
    const natives = tensors.map(({ native }) => native);
    this.native = makeDataset(natives, {
      batchSize,
      dropLast,
      shuffleSeed: shuffle ? seed : undefined,
    });
    this.samples = this.native.samples;
    this.batches = this.native.batches;
  }

  /**
   * Over tensors that are there already; they stay the caller's, and must not be closed before the loader.
   *
   * @param tensors an array, for batches that are arrays, or a record, for batches that are records; `[N, …]` each
   * @throws `ERR_ARGUMENT`, and `ERR_DATASET` when the first dimensions differ
   */
  static fromTensors<const Tensors extends readonly Tensor[] | Readonly<Record<string, Tensor>>>(
    tensors: Tensors,
    options: LoaderOptions = {},
  ): TensorDataLoader<BatchOf<Tensors>> {
    requireOptions(options, "TensorDataLoader.fromTensors");
    const list: unknown[] = Array.isArray(tensors)
      ? tensors
      : isRecord(tensors)
        ? Object.values(tensors)
        : [];
    if (list.length === 0 || !list.every(isTensor)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `expected an array or a record of tensors but received ${describe(tensors)}`,
      );
    }
    return new TensorDataLoader(list, Array.isArray(tensors) ? null : Object.keys(tensors), false, options);
  }

  /**
   * Over arrays of a .npz file, all of them in the file's order unless `keys` says otherwise. Batches are records.
   *
   * @throws `ERR_DATA_FILE` when the file is missing or damaged, `ERR_DATA_KEYS`, `ERR_DATASET`
   */
  static async fromNpz<const Keys extends readonly string[] = readonly string[]>(
    file: string,
    options: FileLoaderOptions<Keys> = {},
  ): Promise<TensorDataLoader<Record<Keys[number], Tensor>>> {
    requireOptions(options, "TensorDataLoader.fromNpz");
    requireKeys(options.keys);
    return TensorDataLoader.fromArrays(await ArrayFile.openNpz(file), options);
  }

  /**
   * Over .npy files: one path or several (batches are arrays), or a record of paths (batches are records).
   *
   * @throws `ERR_DATA_FILE`, `ERR_DATASET`
   */
  static async fromNpy<const Files extends string | readonly string[] | Readonly<Record<string, string>>>(
    files: Files,
    options: LoaderOptions = {},
  ): Promise<TensorDataLoader<BatchOf<Files>>> {
    requireOptions(options, "TensorDataLoader.fromNpy");
    return TensorDataLoader.fromNpyConverted(files, options);
  }

  /** @internal As `fromNpy`, and converts arrays. */
  static async fromNpyConverted<Files extends string | readonly string[] | Readonly<Record<string, string>>>(
    files: Files,
    options: LoaderOptions,
    conversion?: Conversion,
  ): Promise<TensorDataLoader<BatchOf<Files>>> {
    const named: Readonly<Record<string, string>> | readonly string[] =
      typeof files === "string" ? { "0": files } : files;
    if (typeof named !== "object" || named === null)
      throw expected("ERR_ARGUMENT", "paths of .npy files", "files", files);
    const arrays = new Map<string, RawTensor>();
    for (const [key, file] of Object.entries(named))
      arrays.set(key, await decodeNpy(await readDataFile(file), path.basename(file)));
    return TensorDataLoader.#fromRaw(arrays, "The list of files", options, isRecord(files), conversion);
  }

  /**
   * Over tensors of a safetensors file. Such a file has no order of its own, so `keys` is needed unless it holds only
   * one tensor. Batches are records.
   *
   * @throws `ERR_DATA_FILE`, `ERR_DATA_KEYS`, `ERR_DATASET`
   */
  static async fromSafetensors<const Keys extends readonly string[] = readonly string[]>(
    file: string,
    options: FileLoaderOptions<Keys> = {},
  ): Promise<TensorDataLoader<Record<Keys[number], Tensor>>> {
    requireOptions(options, "TensorDataLoader.fromSafetensors");
    requireKeys(options.keys);
    const arrays = await ArrayFile.openSafetensors(file);
    if (options.keys === undefined && arrays.names.length > 1) {
      throw new TorchSearchError(
        "ERR_DATA_KEYS",
        `${file} holds several tensors (${listed(arrays.names)}); say with keys which to use and in which order.`,
      );
    }
    return TensorDataLoader.fromArrays(arrays, options);
  }

  /** @internal Over arrays of a file that is open already, all of them unless `keys` says otherwise. */
  static async fromArrays<Keys extends readonly string[]>(
    file: ArrayFile,
    options: FileLoaderOptions<Keys>,
    conversion?: Conversion,
  ): Promise<TensorDataLoader<Record<Keys[number], Tensor>>> {
    return TensorDataLoader.#fromRaw(await file.arrays(options.keys), file.path, options, true, conversion);
  }

  static async #fromRaw<Batch extends TensorBatch>(
    arrays: ReadonlyMap<string, RawTensor>,
    file: string,
    options: LoaderOptions,
    named = true,
    conversion?: Conversion,
  ): Promise<TensorDataLoader<Batch>> {
    if (arrays.size === 0) throw new TorchSearchError("ERR_DATA_FILE", `${file} holds no array.`);
    const tensors: Tensor[] = [];
    for (const [name, raw] of arrays) {
      const tensor = await tensorFromFile(raw);
      const made = conversion === undefined ? tensor : inPlaceOf(name, tensor, conversion);
      if (made !== tensor) tensor.close();
      tensors.push(made);
    }
    return new TensorDataLoader(tensors, named ? [...arrays.keys()] : null, true, options);
  }

  /** Position, in a batch, of a tensor given by position or name; null when there is none. */
  indexOf(at: number | string): number | null {
    const index = typeof at === "number" ? at : (this.keys?.indexOf(at) ?? -1);
    return Number.isInteger(index) && index >= 0 && index < this.#tensors.length ? index : null;
  }

  /** Makes one batch. @throws `ERR_CLOSED`, and `ERR_ARGUMENT` for an index without a batch */
  batch(index: number): Batch {
    if (!Number.isInteger(index) || index < 0 || index >= this.batches)
      throw expected("ERR_ARGUMENT", `a whole number below ${this.batches}`, "the batch's index", index);
    const tensors = this.native.batch(index).map((native) => Tensor.wrap(native));
    const batch: TensorBatch =
      this.keys === null
        ? tensors
        : Object.fromEntries(this.keys.map((key, i) => [key, tensors[i] as Tensor]));
    return batch as Batch;
  }

  /** Walks the batches. @throws `ERR_CLOSED` */
  *[Symbol.iterator](): Generator<Batch, void, undefined> {
    for (let index = 0; index < this.batches; index++) yield this.batch(index);
  }

  /** Frees what the loader holds: not the tensors that were handed to `fromTensors`. */
  close(): void {
    this.native.close();
    if (this.#owned) for (const tensor of this.#tensors) tensor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a conversion puts in the place of a tensor: that one itself where there is nothing to convert. */
function inPlaceOf(name: string, tensor: Tensor, { dtypes, replace, onInexact }: Conversion): Tensor {
  const other = replace?.(name, tensor) ?? tensor;
  const dtype = dtypes[name];
  if (other !== tensor || dtype === undefined || dtype === tensor.dtype) return other;
  const { tensor: made, exact } = converted(tensor, dtype);
  if (!exact) onInexact(name);
  return made;
}

function requireSameLength(tensors: readonly Tensor[], keys: readonly string[] | null): void {
  const shapes = tensors.map(({ shape }) => shape);
  if (shapes.some(([length]) => length === undefined || length !== shapes[0]?.[0])) {
    const list = shapes.map((shape, i) => `${keys?.[i] ?? i}: [${listed(shape)}]`);
    throw new TorchSearchError(
      "ERR_DATASET",
      `The tensors of a loader must share their first dimension, the samples, but are ${listed(list)}. Choose fitting ones.`,
    );
  }
}

function requireKeys(keys: unknown): void {
  if (keys === undefined || (Array.isArray(keys) && keys.every((key) => typeof key === "string"))) return;
  throw expected("ERR_ARGUMENT", "an array of names", "keys", keys);
}
