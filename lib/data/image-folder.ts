/** Batches of images from a folder, decoded as they are asked for. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { TorchSearchError } from "../errors";
import { Tensor } from "../model/tensor";
import { whenLoaded } from "../native/load";
import { expected, isPositiveInteger, requireOptions, requirePath } from "../util/check";
import { Random } from "../util/random";
import { OWNED_BATCHES } from "./data-source";
import { type ImagePreprocessing, ImagePreprocessor } from "./image-preprocess";
import { LOADER_DEFAULTS, type LoaderOptions } from "./tensor-loader";

/** Options of {@link ImageFolderLoader.open}. */
export interface ImageFolderOptions extends LoaderOptions, ImagePreprocessing {
  /**
   * Names of the subfolders in the order of the model's outputs: the first one's images have label 0. Default: the
   * subfolders that are there, sorted, as torchvision's `ImageFolder` numbers them. Name all of the model's classes
   * where the folder holds only some of them.
   */
  classes?: readonly string[];
  /**
   * Bytes of decoded pixels to keep between passes; default 1 GiB, 7,000 images of 224x224. Images beyond are decoded
   * again in each pass.
   */
  cacheBytes?: number;
}

/** Images, `[N, 3, crop, crop]` float32 (grey ones `[N, 1, crop, crop]`), and, where the images are in subfolders, their labels, `[N]` int64. */
export interface ImageBatch {
  /** `[N, 3, crop, crop]`, or `[N, 1, crop, crop]` where they are grey; float32, normalized. */
  images: Tensor;
  /** `[N]`, int64: positions in the loader's `classes`; absent where the folder has no subfolders. */
  labels?: Tensor;
}

interface Sample {
  file: string;
  /** Null for images that lie in the folder itself. */
  label: number | null;
}

const DECODED = new Set([".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"]);
/** Images that are decoded at a time: libuv's threads. */
const AT_A_TIME = Math.max(1, Number(process.env.UV_THREADPOOL_SIZE) || 4);
/** Formats that torchvision takes too. Leaving them out silently would make another data set. */
const REFUSED = new Set([".bmp", ".pgm", ".ppm"]);

/**
 * A data loader over the images of a folder. The folder has one subfolder a class, as for torchvision's `ImageFolder`,
 * with the same order and labels; or images without subfolders, which have no labels.
 *
 * The optional package `sharp` decodes the images and the addon resizes them, in a thread of their own and one batch
 * ahead of the one in use. Preprocessing gives the same bits as torchvision's wherever sharp and Pillow decode a file
 * to the same pixels: they do for JPEG (CMYK too), PNG, WebP and TIFF of every kind that was tried.
 *
 * @example
 * ```ts
 * const loader = await ImageFolderLoader.open("images", { batchSize: 32 });
 * console.log(loader.classes);
 * for await (const { images, labels } of loader) console.log(images.shape, labels?.data());
 * loader.close();
 * ```
 */
export class ImageFolderLoader implements AsyncIterable<ImageBatch> {
  readonly [OWNED_BATCHES] = true;
  /** Names of a batch's tensors. */
  readonly keys: readonly string[];
  /** Names of the classes by label; null where there are no labels. */
  readonly classes: readonly string[] | null;
  /** Samples in all batches of a pass. */
  readonly samples: number;
  /** Batches in a pass. */
  readonly batches: number;
  /** Files in the order of a pass. */
  readonly files: readonly string[];

  #samples: readonly Sample[];
  #batchSize: number;
  #preprocessor: ImagePreprocessor;
  #cache = new Map<number, Uint8Array>();
  #cacheBytes: number;
  #closed = false;

  private constructor(
    samples: readonly Sample[],
    classes: readonly string[] | null,
    {
      batchSize = LOADER_DEFAULTS.batchSize,
      dropLast = LOADER_DEFAULTS.dropLast,
      cacheBytes = 2 ** 30,
      ...options
    }: ImageFolderOptions,
  ) {
    if (!isPositiveInteger(batchSize))
      throw expected("ERR_ARGUMENT", "a whole number of at least 1", "batchSize", batchSize);
    if (!Number.isFinite(cacheBytes) || cacheBytes < 0)
      throw expected("ERR_ARGUMENT", "a number of at least 0", "cacheBytes", cacheBytes);
    this.#preprocessor = new ImagePreprocessor(options);
    this.classes = classes;
    this.keys = classes === null ? ["images"] : ["images", "labels"];
    this.batches = dropLast ? Math.floor(samples.length / batchSize) : Math.ceil(samples.length / batchSize);
    this.samples = Math.min(samples.length, this.batches * batchSize);
    this.#samples = samples.slice(0, this.samples);
    this.files = this.#samples.map(({ file }) => file);
    this.#batchSize = batchSize;
    this.#cacheBytes = cacheBytes;
  }

  /**
   * Lists a folder; images are decoded later on.
   *
   * @throws `ERR_DATA_FILE` when the folder can't be read, holds no images, or holds images that can't be decoded
   *   (.bmp, .pgm, .ppm) or that lie beside subfolders of images; `ERR_DATASET` for a subfolder that `classes` lacks;
   *   `ERR_ARGUMENT`
   */
  static async open(folder: string, options: ImageFolderOptions = {}): Promise<ImageFolderLoader> {
    requireOptions(options, "ImageFolderLoader.open");
    await whenLoaded();
    const { samples, classes } = await listSamples(
      path.resolve(requirePath(folder, "ImageFolderLoader.open")),
      options.classes ?? null,
    );
    const { shuffle = LOADER_DEFAULTS.shuffle, seed = LOADER_DEFAULTS.seed } = options;
    const order = shuffle ? new Random(seed).permutation(samples.length) : samples.keys();
    return new ImageFolderLoader(
      Array.from(order, (at) => samples[at] as Sample),
      classes,
      options,
    );
  }

  /** Makes one batch. @throws `ERR_CLOSED`, `ERR_IMAGE_DECODER`, `ERR_DATA_FILE` naming the image */
  async batch(index: number): Promise<ImageBatch> {
    return this.#assemble(index, await this.#pixels(index));
  }

  /** Walks the batches. @throws as {@link batch} */
  async *[Symbol.asyncIterator](): AsyncGenerator<ImageBatch, void, undefined> {
    let next = this.batches > 0 ? this.#pixels(0) : null;
    for (let index = 0; index < this.batches; index++) {
      const pixels = await (next as Promise<Uint8Array[]>);
      next = index + 1 < this.batches ? this.#pixels(index + 1) : null;
      // A caller that stops early never awaits this.
      next?.catch(() => {});
      yield await this.#assemble(index, pixels);
    }
  }

  /** Frees the pixels that are kept. */
  close(): void {
    this.#closed = true;
    this.#cache.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #range(index: number): [start: number, end: number] {
    if (!Number.isInteger(index) || index < 0 || index >= this.batches)
      throw expected("ERR_ARGUMENT", `a whole number below ${this.batches}`, "the batch's index", index);
    return [index * this.#batchSize, Math.min((index + 1) * this.#batchSize, this.samples)];
  }

  async #pixels(index: number): Promise<Uint8Array[]> {
    if (this.#closed) throw new TorchSearchError("ERR_CLOSED", "The loader was closed; open another one.");
    const [start, end] = this.#range(index);
    const pixels: Uint8Array[] = [];
    let next = start;
    const work = async (): Promise<void> => {
      while (next < end) {
        const at = next++;
        pixels[at - start] = await this.#pixelsOf(at);
      }
    };
    // No more at a time than libuv has threads: a decoded image of a camera takes tens of megabytes.
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    return pixels;
  }

  async #pixelsOf(at: number): Promise<Uint8Array> {
    const kept = this.#cache.get(at);
    if (kept !== undefined) return kept;
    const pixels = await this.#preprocessor.pixels((this.#samples[at] as Sample).file);
    if ((this.#cache.size + 1) * pixels.length <= this.#cacheBytes && !this.#closed)
      this.#cache.set(at, pixels);
    return pixels;
  }

  async #assemble(index: number, pixels: Uint8Array[]): Promise<ImageBatch> {
    const [start, end] = this.#range(index);
    const batch = { images: await this.#preprocessor.normalize(pixels) };
    if (this.classes === null) return batch;
    const labels = this.#samples.slice(start, end).map(({ label }) => BigInt(label as number));
    return { ...batch, labels: Tensor.from(BigInt64Array.from(labels)) };
  }
}

async function listSamples(
  folder: string,
  wanted: readonly string[] | null,
): Promise<{ samples: Sample[]; classes: readonly string[] | null }> {
  const loose = await imagesOf(folder, false);
  const folders = (await entriesOf(folder)).filter(({ directory }) => directory).map(({ name }) => name);
  const lists = new Map<string, string[]>();
  for (const name of folders.sort(byCodePoints))
    lists.set(name, await imagesOf(path.join(folder, name), true));
  const filled = [...lists].filter(([, files]) => files.length > 0);
  if (filled.length === 0) {
    if (loose.length === 0)
      throw dataError(`${folder} holds no images (${[...DECODED].join(", ")}): name a folder that does`);
    return { samples: loose.map((file) => ({ file, label: null })), classes: null };
  }
  if (loose.length > 0)
    throw dataError(
      `${folder} holds images beside its subfolders, such as ${loose[0]}: put each one into its class's subfolder`,
    );
  const empty = [...lists].find(([name, files]) => files.length === 0 && (wanted?.includes(name) ?? true));
  if (empty !== undefined)
    throw dataError(
      `${path.join(folder, empty[0])} is a class without images, whose label would be missing: remove the folder, or name ` +
        "the classes in order",
    );
  const classes = wanted ?? filled.map(([name]) => name);
  const labels = new Map(classes.map((name, label) => [name, label]));
  const unknown = filled.find(([name]) => !labels.has(name));
  if (unknown !== undefined) {
    throw new TorchSearchError(
      "ERR_DATASET",
      `The classes that were named do not have "${unknown[0]}", which is a subfolder of ${folder}: name all classes of the model.`,
    );
  }
  const samples = filled.flatMap(([name, files]) =>
    files.map((file) => ({ file, label: labels.get(name) as number })),
  );
  return { samples, classes };
}

/** Images of a folder, and of those in it, sorted as torchvision sorts them: folder by folder, by name. */
async function imagesOf(folder: string, deep: boolean): Promise<string[]> {
  const folders = [folder];
  const found = new Map<string, string[]>();
  for (let at = 0; at < folders.length; at++) {
    const current = folders[at] as string;
    const names: string[] = [];
    for (const entry of await entriesOf(current)) {
      if (entry.directory) {
        if (deep) folders.push(path.join(current, entry.name));
        continue;
      }
      const extension = path.extname(entry.name).toLowerCase();
      if (REFUSED.has(extension))
        throw dataError(
          `${path.join(current, entry.name)} is of a format that is not read: convert it to PNG (lossless), or remove it`,
        );
      if (DECODED.has(extension)) names.push(path.join(current, entry.name));
    }
    found.set(current, names.sort(byCodePoints));
  }
  return folders.sort(byCodePoints).flatMap((each) => found.get(each) as string[]);
}

/** The entries of a folder; links are followed. */
async function entriesOf(folder: string): Promise<{ name: string; directory: boolean }[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return await Promise.all(
      entries.map(async (entry) => ({
        name: entry.name,
        directory: entry.isSymbolicLink()
          ? (await stat(path.join(folder, entry.name))).isDirectory()
          : entry.isDirectory(),
      })),
    );
  } catch (error) {
    throw dataError(`${folder} can't be read: ${(error as Error).message}`, error);
  }
}

/** The order of Python's `sorted` for texts, which JavaScript's own differs from beyond U+FFFF. */
function byCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  const at = left.findIndex((character, i) => character !== right[i]);
  if (at === -1) return left.length - right.length;
  if (at >= right.length) return 1;
  return ((left[at] as string).codePointAt(0) as number) - ((right[at] as string).codePointAt(0) as number);
}

function dataError(what: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError("ERR_DATA_FILE", `${what}.`, { cause });
}
