/** Image files to pixels: sharp decodes, the addon resizes. */
import { TorchSearchError } from "../errors";
import { resizeAndCrop } from "../native/image";

/** How images are resized; `bilinear` and `bicubic` are torchvision's, with its antialiasing. */
export const INTERPOLATIONS = ["bilinear", "bicubic"] as const;
/** How an image is resized. */
export type Interpolation = (typeof INTERPOLATIONS)[number];

/** The square that an image becomes. */
export interface ImageTarget {
  /** Pixels of the shorter side after resizing. */
  resize: number;
  /** Pixels of either side of the square that is cut out of the middle. */
  crop: number;
  interpolation: Interpolation;
}

type SharpModule = typeof import("sharp");
// Its types have the function as the module itself for CommonJS, and as the default export for ES modules.
type Sharp = SharpModule extends { default: infer Default } ? Default : SharpModule;

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

/**
 * The pixels of an image file, resized and cropped: `[crop, crop, 3]`, 0 to 255. As Pillow's `convert("RGB")` does:
 * transparency is dropped; colour profiles are ignored, and so is the camera's orientation, except in TIFF files.
 *
 * sharp's own resizing is not used: it ignores pixels' centers when it enlarges, and rounds their positions when it
 * reduces, so that its images differ from Pillow's by up to 24 and 12 of 255 levels.
 *
 * @throws `ERR_IMAGE_DECODER`, `ERR_DATA_FILE` naming the file
 */
export async function decodeImage(file: string, target: ImageTarget): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { resize, crop, interpolation } = target;
  try {
    const { data, width, height, channels } = await pixelsOf(sharp(file, { ignoreIcc: true }));
    const longer = Math.trunc((resize * Math.max(width, height)) / Math.min(width, height));
    const [columns, rows] = width <= height ? [resize, longer] : [longer, resize];
    return await resizeAndCrop(data, {
      width,
      height,
      channels,
      columns,
      rows,
      left: middle(columns, crop),
      top: middle(rows, crop),
      side: crop,
      filter: interpolation,
    });
  } catch (error) {
    if (error instanceof TorchSearchError) throw error;
    throw new TorchSearchError(
      "ERR_DATA_FILE",
      `${file} can't be decoded as an image: ${(error as Error).message}. Replace or remove it.`,
      { cause: error },
    );
  }
}

/** All pixels of an image, as Pillow reads them. */
async function pixelsOf(
  image: ReturnType<Sharp>,
): Promise<{ data: Uint8Array; width: number; height: number; channels: 1 | 3 }> {
  const { format, space, hasAlpha, orientation = 1 } = await image.metadata();
  if (space === "grey16" && !hasAlpha)
    throw new Error(
      "it is grey of 16 bits, where all above level 255 is white to torchvision; make it 8 bits",
    );
  if (format === "tiff" && orientation > 1) image.autoOrient();
  const cmyk = space === "cmyk";
  // Else sharp turns its inks into colours as a printing press would.
  if (cmyk) image.pipelineColourspace("cmyk");
  const { data, info } = await image
    .removeAlpha()
    .toColourspace(cmyk ? "cmyk" : "srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (cmyk && channels === 4) return { data: withoutInks(data), width, height, channels: 3 };
  if (channels !== 1 && channels !== 3) throw new Error(`it has ${channels} channels`);
  return { data, width, height, channels };
}

/** Red, green and blue of cyan, magenta, yellow and black, as Pillow's `Convert.c` computes them. */
function withoutInks(inks: Uint8Array): Uint8Array {
  const pixels = inks.length / 4;
  const colors = new Uint8Array(3 * pixels);
  for (let at = 0; at < pixels; at++) {
    const left = 255 - (inks[4 * at + 3] as number);
    for (let color = 0; color < 3; color++) {
      const product = (inks[4 * at + color] as number) * left + 128;
      colors[3 * at + color] = left - (((product >> 8) + product) >> 8);
    }
  }
  return colors;
}

/** Where a crop begins: rounded as Python rounds, halves to the even number. */
function middle(side: number, crop: number): number {
  const half = (side - crop) / 2;
  const floor = Math.floor(half);
  return half - floor === 0.5 && floor % 2 === 0 ? floor : Math.round(half);
}
