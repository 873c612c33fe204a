/** What torchvision's preprocessing of classification models does to an image, without Python. */
import { TorchSearchError } from "../errors";
import { expected, isPositiveInteger } from "../util/check";

/** How images are made smaller; `bilinear` and `bicubic` are torchvision's, with its antialiasing. */
export const INTERPOLATIONS = ["bilinear", "bicubic"] as const;
export type Interpolation = (typeof INTERPOLATIONS)[number];

/**
 * As `torchvision.transforms`: `Resize(resize)`, `CenterCrop(crop)`, `ToTensor()`, `Normalize(mean, std)`. The defaults
 * are those of torchvision's ImageNet models.
 */
export interface ImagePreprocessing {
  /** Pixels of the shorter side after resizing; default 256, or `crop` where that is larger. */
  resize?: number;
  /** Pixels of either side of the square cut out of the middle; default 224. */
  crop?: number;
  /** Default `bilinear`. */
  interpolation?: Interpolation;
  /** Of red, green and blue, on the scale of 0 to 1; default ImageNet's 0.485, 0.456, 0.406. */
  mean?: readonly number[];
  /** Of red, green and blue, on the scale of 0 to 1; default ImageNet's 0.229, 0.224, 0.225. */
  std?: readonly number[];
}

type Settings = Required<ImagePreprocessing>;

type SharpModule = typeof import("sharp");
// Its types have the function as the module itself for CommonJS, and as the default export for ES modules.
type Sharp = SharpModule extends { default: infer Default } ? Default : SharpModule;
const KERNELS = { bilinear: "linear", bicubic: "cubic" } as const;
/** Values of one sub-pixel. */
const LEVELS = 256;

let loading: Promise<Sharp> | undefined;

/** Loads the decoder, which is an optional dependency. @throws `ERR_IMAGE_DECODER` */
async function loadSharp(): Promise<Sharp> {
  loading ??= import("sharp").then((loaded) => loaded.default as Sharp);
  try {
    return await loading;
  } catch (error) {
    throw new TorchSearchError(
      "ERR_IMAGE_DECODER",
      "Images are decoded by the package sharp, which can't be loaded here: install it beside torchsearch with " +
        `\`npm install sharp\`, or hand over arrays (.npz, .npy, .safetensors) instead. ${(error as Error).message.split("\n")[0]}`,
      { cause: error },
    );
  }
}

/** Decodes, resizes and crops images on libuv's threads, and normalizes them. */
export class ImagePreprocessor {
  readonly settings: Settings;
  /** What each level of each colour becomes: 3 x 256. */
  #tables: Float32Array[];

  /** @throws `ERR_ARGUMENT` */
  constructor(options: ImagePreprocessing = {}) {
    const crop = options.crop ?? 224;
    const resize = options.resize ?? Math.max(256, crop);
    const { interpolation = "bilinear" } = options;
    const { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] } = options;
    if (!isPositiveInteger(crop))
      throw expected("ERR_ARGUMENT", "a whole number of at least 1", "crop", crop);
    if (!isPositiveInteger(resize) || resize < crop)
      throw expected("ERR_ARGUMENT", `a whole number of at least crop (${crop})`, "resize", resize);
    if (!INTERPOLATIONS.includes(interpolation))
      throw expected("ERR_ARGUMENT", `one of ${INTERPOLATIONS.join(", ")}`, "interpolation", interpolation);
    if (mean.length !== 3 || !mean.every(Number.isFinite))
      throw expected("ERR_ARGUMENT", "three numbers (red, green, blue)", "mean", mean);
    if (std.length !== 3 || !std.every((value) => Number.isFinite(value) && value > 0))
      throw expected("ERR_ARGUMENT", "three positive numbers (red, green, blue)", "std", std);
    this.settings = { resize, crop, interpolation, mean, std };
    // In single precision throughout, as PyTorch computes it.
    this.#tables = mean.map((center, color) =>
      Float32Array.from({ length: LEVELS }, (_, level) => {
        const value = Math.fround(level / (LEVELS - 1));
        return Math.fround(Math.fround(value - Math.fround(center)) / Math.fround(std[color] as number));
      }),
    );
  }

  /** Elements of one image, `[3, crop, crop]`. */
  get size(): number {
    return 3 * this.settings.crop ** 2;
  }

  /**
   * The pixels of an image file, resized and cropped, before they are normalized: `[crop, crop, 3]`, 0 to 255.
   * As Pillow's `convert("RGB")` does: transparency is dropped, colour profiles and the camera's orientation are ignored.
   *
   * @throws `ERR_IMAGE_DECODER`, `ERR_DATA_FILE` naming the file
   */
  async pixels(file: string): Promise<Uint8Array> {
    const sharp = await loadSharp();
    const { resize, crop, interpolation } = this.settings;
    try {
      const decoded = sharp(file, { ignoreIcc: true });
      const { width, height, hasAlpha, channels } = await decoded.metadata();
      let image = decoded;
      if (hasAlpha) {
        // Transparent pixels would weigh less in a resize.
        const opaque = await decoded.removeAlpha().raw().toBuffer({ resolveWithObject: true });
        image = sharp(opaque.data, { raw: opaque.info });
      }
      const [short, long] = [Math.min(width, height), Math.max(width, height)];
      const longer = Math.trunc((resize * long) / short);
      const [columns, rows] = width <= height ? [resize, longer] : [longer, resize];
      if (columns !== width || rows !== height)
        image = image.resize(columns, rows, {
          fit: "fill",
          kernel: KERNELS[interpolation],
          // A JPEG decoded at a fraction of its size differs from one that is resized.
          fastShrinkOnLoad: false,
        });
      const { data, info } = await image
        .extract({ left: middle(columns, crop), top: middle(rows, crop), width: crop, height: crop })
        .toColourspace("srgb")
        .raw()
        .toBuffer({ resolveWithObject: true });
      if (info.channels === 3) return data;
      if (info.channels === 1) return spread(data);
      throw new Error(`it has ${channels} channels`);
    } catch (error) {
      if (error instanceof TorchSearchError) throw error;
      throw new TorchSearchError(
        "ERR_DATA_FILE",
        `${file} can't be decoded as an image: ${(error as Error).message}. Replace or remove it.`,
        { cause: error },
      );
    }
  }

  /** Normalizes pixels into `into`, at element `at`, as `[3, crop, crop]`. */
  normalize(pixels: Uint8Array, into: Float32Array, at: number): void {
    const plane = pixels.length / 3;
    for (const [color, table] of this.#tables.entries()) {
      const start = at + color * plane;
      for (let i = 0, from = color; i < plane; i++, from += 3)
        into[start + i] = table[pixels[from] as number] as number;
    }
  }
}

/** Where a crop begins: rounded as Python rounds, halves to the even number. */
function middle(side: number, crop: number): number {
  const half = (side - crop) / 2;
  const floor = Math.floor(half);
  return half - floor === 0.5 && floor % 2 === 0 ? floor : Math.round(half);
}

/** Grey as red, green and blue. */
function spread(grey: Uint8Array): Uint8Array {
  const colors = new Uint8Array(3 * grey.length);
  for (const [at, level] of grey.entries()) colors.fill(level, 3 * at, 3 * at + 3);
  return colors;
}
