/** torchvision's preprocessing of images for classification models, without Python. */

import { Tensor } from "../model/tensor";
import { normalizeImages } from "../native/image";
import { expected, isPositiveInteger } from "../util/check";
import { INTERPOLATIONS, type Interpolation } from "./image-decode";
import { decodeBeside } from "./image-decoder";

/**
 * As `torchvision.transforms`: `Resize(resize)`, `CenterCrop(crop)`, `ToTensor()`, `Normalize(mean, std)`. The defaults
 * are the ones of torchvision's ImageNet models.
 */
export interface ImagePreprocessing {
  /** Pixels of the shorter side after resizing; default 256, or `crop` where that is larger. */
  resize?: number;
  /** Pixels of either side of the square cut out of the middle; default 224. */
  crop?: number;
  /** Default `bilinear`. */
  interpolation?: Interpolation;
  /** Means of red, green and blue, on the scale of 0 to 1; default ImageNet's 0.485, 0.456, 0.406. */
  mean?: readonly number[];
  /** Standard deviations of red, green and blue, on the same scale; default ImageNet's 0.229, 0.224, 0.225. */
  std?: readonly number[];
}

type Settings = Required<ImagePreprocessing>;

/** The defaults of {@link ImagePreprocessing}; `resize` is never smaller than `crop`. */
export const IMAGE_DEFAULTS = {
  resize: 256,
  crop: 224,
  interpolation: "bilinear",
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const satisfies Settings;

/** Values of one sub-pixel. */
const LEVELS = 256;

/** Decodes, resizes, crops and normalizes images beside the event loop. */
export class ImagePreprocessor {
  readonly settings: Settings;
  /** The value of each level of each colour: 3 x 256. */
  #table: Float32Array;

  /** @throws `ERR_ARGUMENT` */
  constructor(options: ImagePreprocessing = {}) {
    const { crop = IMAGE_DEFAULTS.crop, interpolation = IMAGE_DEFAULTS.interpolation } = options;
    const { mean = IMAGE_DEFAULTS.mean, std = IMAGE_DEFAULTS.std } = options;
    const resize = options.resize ?? Math.max(IMAGE_DEFAULTS.resize, crop);
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
    this.#table = Float32Array.from({ length: 3 * LEVELS }, (_, at) => {
      const color = Math.floor(at / LEVELS);
      const value = Math.fround((at % LEVELS) / (LEVELS - 1));
      const centered = Math.fround(value - Math.fround(mean[color] as number));
      return Math.fround(centered / Math.fround(std[color] as number));
    });
  }

  /**
   * The pixels of an image file, resized and cropped, before they are normalized: `[crop, crop, 3]`, 0 to 255.
   * As Pillow's `convert("RGB")` does: transparency is dropped; colour profiles are ignored, and so is the camera's
   * orientation, except in TIFF files.
   *
   * @throws `ERR_IMAGE_DECODER`, `ERR_DATA_FILE` naming the file
   */
  pixels(file: string): Promise<Uint8Array> {
    const { resize, crop, interpolation } = this.settings;
    return decodeBeside(file, { resize, crop, interpolation });
  }

  /** A batch, `[N, 3, crop, crop]` float32, of images that {@link pixels} gave. */
  async normalize(images: Uint8Array[]): Promise<Tensor> {
    return Tensor.wrap(await normalizeImages(images, this.settings.crop, this.#table));
  }
}
