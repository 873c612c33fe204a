import type { NativeTensor } from "./tensor";

/** A decoded image, and what to make of it. Lengths are in pixels. */
export interface NativeResize {
  width: number;
  height: number;
  /** 1 (grey) or 3 */
  channels: number;
  /** Width of the resized image, out of which a square is cut. */
  columns: number;
  rows: number;
  left: number;
  top: number;
  side: number;
  filter: "bilinear" | "bicubic";
}

/** Exported by native/binding/image.cpp. */
export interface ImageExports {
  /** Resizes as Pillow does, on libuv's threads: `[height, width, channels]` in, `[side, side, 3]` out. */
  resizeAndCrop(pixels: Uint8Array, sizes: NativeResize): Promise<Uint8Array>;
  /**
   * Makes a batch `[N, 3, side, side]` float32 of images `[side, side, 3]`, on libuv's threads.
   *
   * @param table what each level of each colour becomes, 3 x 256
   */
  normalizeImages(images: Uint8Array[], side: number, table: Float32Array): Promise<NativeTensor>;
}
