/** Mutations of images, and images that claim to be huge, or are something else than their names say. */
import { crc32, deflateSync } from "node:zlib";

import type { Dice } from "../dice";

export function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  data.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** A grey image of 8 bits, of the width and height it claims, with whatever pixels. */
export function png(width: number, height: number, pixels: Buffer, extra: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  const data = chunk("IDAT", deflateSync(pixels));
  return Buffer.concat([signature, chunk("IHDR", head), extra, data, chunk("IEND", Buffer.alloc(0))]);
}

const SVG = (body: string) =>
  Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">${body}</svg>`);

/** Name of the file, and its bytes. */
export const STRANGE_IMAGES: readonly (readonly [string, () => Buffer])[] = [
  ["empty.png", () => Buffer.alloc(0)],
  ["empty.jpg", () => Buffer.alloc(0)],
  ["one-pixel.png", () => png(1, 1, Buffer.from([0, 255]))],
  ["bomb.png", () => png(20_000, 20_000, Buffer.alloc(1000))],
  ["larger-bomb.png", () => png(60_000, 60_000, Buffer.alloc(100))],
  ["largest-bomb.png", () => png(2 ** 31 - 1, 2 ** 31 - 1, Buffer.alloc(10))],
  ["no-width.png", () => png(0, 5, Buffer.alloc(10))],
  ["wide.png", () => png(100_000, 1, Buffer.alloc(100_001))],
  ["high.png", () => png(1, 100_000, Buffer.alloc(200_000))],
  [
    "text-bomb.png",
    () =>
      png(
        1,
        1,
        Buffer.from([0, 1]),
        chunk("zTXt", Buffer.concat([Buffer.from("a\0\0"), deflateSync(Buffer.alloc(5e7))])),
      ),
  ],
  ["page.jpg", () => Buffer.from("<html>")],
  ["drawing.png", () => SVG('<rect width="10" height="10"/>')],
  ["drawing.jpg", () => Buffer.concat([Buffer.from('<?xml version="1.0"?>\n'), SVG("<text>x</text>")])],
  ["document.png", () => Buffer.from("%PDF-1.4\n")],
  [
    "animation.png",
    () => Buffer.from("GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01\0;", "latin1"),
  ],
  ["no-directory.tif", () => Buffer.from("49492a0008000000ffff", "hex")],
  ["loop.tif", () => Buffer.from("49492a0008000000000008000000", "hex")],
];

export function mutatedImage(base: Buffer, dice: Dice): Buffer {
  switch (dice.below(4)) {
    case 0:
      return dice.cut(base);
    case 1:
      return dice.flipped(base, 1 + dice.below(6), 0, Math.min(200, base.length));
    case 2:
      return dice.spliced(base);
    default:
      return dice.flipped(base, 1 + dice.below(6));
  }
}
