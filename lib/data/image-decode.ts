/** Image files to pixels: sharp decodes, the addon resizes. */
import { TorchSearchError } from "../errors";
import { resizeAndCrop } from "../native/image";
import { readRegularFile } from "../util/regular-file";

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

/** How files of the kinds that are decoded begin; null stands for any byte. */
const BEGINNINGS: readonly (readonly (number | null)[])[] = [
  [0xff, 0xd8, 0xff], // JPEG
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], // PNG
  [0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50], // WebP
  [0x49, 0x49, 0x2a, 0x00], // TIFF, and BigTIFF below
  [0x4d, 0x4d, 0x00, 0x2a],
  [0x49, 0x49, 0x2b, 0x00],
  [0x4d, 0x4d, 0x00, 0x2b],
];

/** Pixels of the largest image: Pillow refuses larger ones too, as a file of some kilobytes can claim them. */
const MOST_PIXELS = 2 * 89_478_485;

/** The decoder goes by what a file holds, whatever its name, and could do more than is asked of it: draw an SVG. */
function requireKnownKind(bytes: Uint8Array): void {
  const begins = (beginning: readonly (number | null)[]): boolean =>
    beginning.every((byte, at) => byte === null || bytes[at] === byte);
  if (BEGINNINGS.some(begins)) return;
  throw new Error("it holds no JPEG, PNG, WebP or TIFF image");
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
    const bytes = await readRegularFile(file);
    requireKnownKind(bytes);
    const { data, width, height, channels } = await pixelsOf(
      sharp(bytes, { ignoreIcc: true, limitInputPixels: MOST_PIXELS }),
    );
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
