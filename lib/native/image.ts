/** Pixels, on libuv's threads. */
import { addon } from "./addon";
import type { NativeResize } from "./types/image";
import type { NativeTensor } from "./types/tensor";

/** Resizes as Pillow does, and cuts a square out: `[height, width, channels]` in, `[side, side, 3]` out. */
export function resizeAndCrop(pixels: Uint8Array, sizes: NativeResize): Promise<Uint8Array> {
  return addon().resizeAndCrop(pixels, sizes);
}

/**
 * Makes a batch `[N, 3, side, side]` float32 of images `[side, side, 3]`.
 *
 * @param table what each level of each colour becomes, 3 x 256
 */
export function normalizeImages(
  images: Uint8Array[],
  side: number,
  table: Float32Array,
): Promise<NativeTensor> {
  return addon().normalizeImages(images, side, table);
}
