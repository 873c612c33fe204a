/** Images of the four kinds that are decoded: they lie of their sizes, end early, or hold what no camera writes. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { deflateSync } from "node:zlib";

import { fixtures } from "../kinds";
import { chunk, png } from "../mutations/image";
import { type Attack, refusedData } from "./attack";

const fixture = (name: string): Buffer => readFileSync(path.join(fixtures, "images", "kinds", name));

/** A copy with other bytes at a place. */
function edited(bytes: Buffer, at: number, by: readonly number[]): Buffer {
  const copy = Buffer.from(bytes);
  copy.set(by, at);
  return copy;
}

const KINDS = [
  "cmyk.jpg",
  "progressive.jpg",
  "turned-6.jpg",
  "profile.jpg",
  "grey-16-bit.png",
  "rgba-16-bit.png",
  "palette-alpha.png",
  "animated.webp",
  "lossy-alpha.webp",
  "turned.webp",
  "cmyk.tif",
  "packed.tif",
  "pages.tif",
  "float.tif",
];

/** The place behind a marker of a JPEG file that is followed by a segment's length: SOF0, SOF2, … */
function segment(bytes: Buffer, markers: readonly number[]): number {
  let at = 2;
  while (!markers.includes(bytes[at + 1] as number)) at += 2 + bytes.readUInt16BE(at + 2);
  return at;
}

function jpegOfSize(name: string, height: number, width: number): Buffer {
  const bytes = fixture(name);
  const frame = segment(bytes, [0xc0, 0xc1, 0xc2]);
  return edited(bytes, frame + 5, [height >> 8, height & 255, width >> 8, width & 255]);
}

/** Its scans again and again: each goes over all of the picture. */
function manyScans(count: number): Buffer {
  const bytes = jpegOfSize("progressive.jpg", 8000, 8000);
  const first = bytes.indexOf(Buffer.from([0xff, 0xda]));
  const next = bytes.indexOf(Buffer.from([0xff, 0xda]), first + 2);
  const scan = bytes.subarray(first, next);
  return Buffer.concat([
    bytes.subarray(0, first),
    ...Array.from({ length: count }, () => scan),
    Buffer.from([0xff, 0xd9]),
  ]);
}

/** A TIFF file of one directory; entries are tag, type, count and value. */
function tiff(entries: readonly (readonly [number, number, number, number])[], next = 0): Buffer {
  const bytes = Buffer.alloc(8 + 2 + 12 * entries.length + 4 + 64, 7);
  bytes.write("II*\0", 0, "latin1");
  bytes.writeUInt32LE(8, 4);
  bytes.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(type, at + 2);
    bytes.writeUInt32LE(count, at + 4);
    bytes.writeUInt32LE(value, at + 8);
  });
  bytes.writeUInt32LE(next, 10 + 12 * entries.length);
  return bytes;
}

/** Tags of a grey picture in one strip behind its directory; others replace or follow them. */
function strip(others: Readonly<Record<number, readonly [number, number, number]>>, next = 0): Buffer {
  const usual: Record<number, readonly [number, number, number]> = {
    256: [4, 1, 8],
    257: [4, 1, 8],
    258: [3, 1, 8],
    259: [3, 1, 1],
    262: [3, 1, 1],
    273: [4, 1, 200],
    277: [3, 1, 1],
    278: [4, 1, 8],
    279: [4, 1, 64],
  };
  const tags = Object.entries({ ...usual, ...others }).map(
    ([tag, [type, count, value]]) => [Number(tag), type, count, value] as const,
  );
  return tiff(tags, next);
}

function webpOfCanvas(width: number, height: number): Buffer {
  const bytes = fixture("animated.webp");
  const canvas = bytes.indexOf("VP8X", 0, "latin1") + 12;
  const size = [(width - 1) & 255, ((width - 1) >> 8) & 255, (width - 1) >> 16];
  return edited(bytes, canvas, [...size, (height - 1) & 255, ((height - 1) >> 8) & 255, (height - 1) >> 16]);
}

const head = (fields: readonly number[], width = 8, height = 8): Buffer => {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data.set(fields, 8);
  const signature = Buffer.from("89504e470d0a1a0a", "hex");
  return Buffer.concat([signature, chunk("IHDR", data)]);
};
const pixels = (count: number): Buffer => chunk("IDAT", deflateSync(Buffer.alloc(count)));
const END = chunk("IEND", Buffer.alloc(0));

/** An animation of PNG that claims frames without end. */
const animated = (): Buffer => {
  const control = Buffer.alloc(8);
  control.writeUInt32BE(0xffffffff, 0);
  return png(8, 8, Buffer.alloc(72), chunk("acTL", control));
};

function exif(orientation: number, next: number, count = 1): Buffer {
  const bytes = fixture("turned-6.jpg");
  const block = segment(bytes, [0xe1]);
  const length = bytes.readUInt16BE(block + 2);
  const body = tiff([[0x0112, 3, count, orientation]], next);
  const all = Buffer.concat([Buffer.from("Exif\0\0", "latin1"), body]);
  const size = Buffer.alloc(2);
  size.writeUInt16BE(all.length + 2);
  return Buffer.concat([bytes.subarray(0, block + 2), size, all, bytes.subarray(block + 2 + length)]);
}

const either = (name: string, what: string, bytes: Buffer): Attack => ({
  kind: "image",
  name,
  what,
  bytes,
  wanted: ["ok", "ERR_DATA_FILE"],
});
const refused = (name: string, what: string, bytes: Buffer): Attack =>
  refusedData("image", name, what, bytes);

export const IMAGES: readonly Attack[] = [
  ...KINDS.map((name) =>
    refused(name, "its first third", fixture(name).subarray(0, fixture(name).length / 3)),
  ),
  ...KINDS.map((name) => refused(name, "twenty bytes", fixture(name).subarray(0, 20))),
  refused("b.jpg", "65,535 x 65,535 of CMYK", jpegOfSize("cmyk.jpg", 65_535, 65_535)),
  refused("b.jpg", "65,535 x 65,535, progressive", jpegOfSize("progressive.jpg", 65_535, 65_535)),
  refused("b.jpg", "no height", jpegOfSize("cmyk.jpg", 0, 10)),
  either("b.jpg", "more rows than its scan has", jpegOfSize("cmyk.jpg", 6000, 32)),
  either("b.jpg", "1,000 scans of 64 million pixels", manyScans(1000)),
  either("b.jpg", "an orientation that there isn't", exif(9, 0)),
  either("b.jpg", "a camera's data that goes round in circles", exif(6, 8)),
  either("b.jpg", "4,294,967,295 orientations", exif(6, 0, 0xffffffff)),
  refused("b.png", "200 million pixels of 195 kB", png(14_200, 14_200, Buffer.alloc(14_200 * 14_201))),
  refused(
    "b.png",
    "16-bit pixels of a size that isn't there",
    Buffer.concat([head([16, 6, 0, 0, 0], 30_000, 30_000), pixels(100), END]),
  ),
  either(
    "b.png",
    "an interlaced picture without its passes",
    Buffer.concat([head([8, 2, 0, 0, 1], 3000, 3000), pixels(10), END]),
  ),
  refused("b.png", "an unknown interlacing", Buffer.concat([head([8, 2, 0, 0, 7]), pixels(200), END])),
  refused("b.png", "a palette that isn't there", Buffer.concat([head([8, 3, 0, 0, 0]), pixels(72), END])),
  refused("b.png", "a depth of 3 bits", Buffer.concat([head([3, 0, 0, 0, 0]), pixels(72), END])),
  either("b.png", "4,294,967,295 frames", animated()),
  either(
    "b.png",
    "10,000 texts",
    png(
      8,
      8,
      Buffer.alloc(72),
      Buffer.concat(Array.from({ length: 10_000 }, () => chunk("tEXt", Buffer.from("a\0b")))),
    ),
  ),
  either(
    "b.png",
    "a colour profile that unpacks to 200 MB",
    png(
      8,
      8,
      Buffer.alloc(72),
      chunk("iCCP", Buffer.concat([Buffer.from("a\0\0"), deflateSync(Buffer.alloc(2e8))])),
    ),
  ),
  either("b.webp", "a canvas of 16,383 x 16,383", webpOfCanvas(16_383, 16_383)),
  refused("b.webp", "a canvas of 16,777,216 x 16,777,216", webpOfCanvas(2 ** 24, 2 ** 24)),
  refused(
    "b.webp",
    "a length of 4 GB",
    edited(fixture("lossy.webp").subarray(0, 40), 4, [255, 255, 255, 255]),
  ),
  refused("b.tif", "2^32 x 2^32", strip({ 256: [4, 1, 0xffffffff], 257: [4, 1, 0xffffffff] })),
  refused("b.tif", "65,535 samples a pixel", strip({ 277: [3, 1, 65_535] })),
  either("b.tif", "a strip at the end of the world", strip({ 273: [4, 1, 0xfffffff0] })),
  either("b.tif", "4,294,967,295 strips", strip({ 273: [4, 0xffffffff, 8], 279: [4, 0xffffffff, 8] })),
  either("b.tif", "directories that go round in circles", strip({}, 8)),
  refused("b.tif", "an unknown compression", strip({ 259: [3, 1, 4242] })),
  refused("b.tif", "128-bit floats", strip({ 258: [3, 1, 128], 339: [3, 1, 3] })),
  either("b.tif", "an orientation that there isn't", strip({ 274: [3, 1, 99] })),
  refused(
    "b.tif",
    "tiles of 2^31",
    strip({ 322: [4, 1, 2 ** 31], 323: [4, 1, 2 ** 31], 324: [4, 1, 8], 325: [4, 1, 64] }),
  ),
  refused("b.tif", "offsets of 64 bits beyond all", Buffer.from("49492b00080000000000000000000080", "hex")),
  ...["b.png", "b.jpg", "b.webp", "b.tif"].flatMap((name) => [
    refused(name, "the beginning alone", Buffer.from("89504e470d0a1a0a", "hex")),
    refused(
      name,
      "an SVG picture",
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>'),
    ),
    refused(name, "a PDF document", Buffer.from("%PDF-1.4\n")),
    refused(name, "nothing", Buffer.alloc(0)),
  ]),
];
