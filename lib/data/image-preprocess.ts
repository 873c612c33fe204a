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
  /**
   * Whether images become grey, with one channel, as by `torchvision.transforms.Grayscale()` after cropping; default
   * false.
   */
  gray?: boolean;
  /**
   * Means of red, green and blue, on the scale of 0 to 1; default ImageNet's 0.485, 0.456, 0.406. Of grey images the
   * first one is used; default 0.
   */
  mean?: readonly number[];
  /**
   * Standard deviations of red, green and blue, on the same scale; default ImageNet's 0.229, 0.224, 0.225. Of grey images
   * the first one is used; default 1.
   */
  std?: readonly number[];
}

type Settings = Required<ImagePreprocessing>;

/** The defaults of {@link ImagePreprocessing}; `resize` is never smaller than `crop`. */
export const IMAGE_DEFAULTS = {
  resize: 256,
  crop: 224,
  interpolation: "bilinear",
  gray: false,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const satisfies Settings;

/** Of grey images: values of 0 to 1. */
const GRAY_DEFAULTS = { mean: [0, 0, 0], std: [1, 1, 1] } as const;

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
    const { gray = IMAGE_DEFAULTS.gray } = options;
    if (typeof gray !== "boolean") throw expected("ERR_ARGUMENT", "true or false", "gray", gray);
    const usual = gray ? GRAY_DEFAULTS : IMAGE_DEFAULTS;
    const { mean = usual.mean, std = usual.std } = options;
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
    this.settings = { resize, crop, interpolation, gray, mean, std };
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
  async pixels(file: string): Promise<Uint8Array> {
    const { resize, crop, interpolation, gray } = this.settings;
    const pixels = await decodeBeside(file, { resize, crop, interpolation });
    if (gray) toGray(pixels);
    return pixels;
  }

  /** A batch, `[N, 3, crop, crop]` or, of grey images, `[N, 1, crop, crop]`, float32, of what {@link pixels} gave. */
  async normalize(images: Uint8Array[]): Promise<Tensor> {
    const { crop, gray } = this.settings;
    const batch = Tensor.wrap(await normalizeImages(images, crop, this.#table));
    if (!gray) return batch;
    const first = firstChannel(batch, images.length, crop * crop);
    batch.close();
    return Tensor.from(first, [images.length, 1, crop, crop]);
  }
}

/** Replaces each pixel's colours by its luma, as Pillow's `convert("L")` computes it (ITU-R 601-2). */
function toGray(pixels: Uint8Array): void {
  for (let at = 0; at < pixels.length; at += 3) {
    const red = (pixels[at] as number) * 19595;
    const green = (pixels[at + 1] as number) * 38470;
    const blue = (pixels[at + 2] as number) * 7471;
    const luma = (red + green + blue + 0x8000) >> 16;
    pixels[at] = luma;
    pixels[at + 1] = luma;
    pixels[at + 2] = luma;
  }
}

/** The first of three channels of each image. */
function firstChannel(batch: Tensor, count: number, size: number): Float32Array {
  const all = batch.data() as Float32Array;
  const first = new Float32Array(count * size);
  for (let at = 0; at < count; at++) first.set(all.subarray(3 * at * size, (3 * at + 1) * size), at * size);
  return first;
}
