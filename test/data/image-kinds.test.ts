/** Files of many kinds against the pixels that torchvision loads from them (scripts/fixtures/image_kinds.py). */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { ImagePreprocessor } from "../../lib/data/image-preprocess";
import { decodeNpz } from "../../lib/data/npz";

const ROOT = path.resolve(__dirname, "../fixtures/images/kinds");
const SIDE = 48;
/** Grey of 16 bits: to torchvision they are all but white. */
const REFUSED = ["grey-16-bit.png", "grey-16-bit.tif"];
const files = readdirSync(ROOT).filter((name) => !name.endsWith(".npz"));
// No resizing: of an image of this size it changes nothing.
const preprocessor = new ImagePreprocessor({ resize: SIDE, crop: SIDE });

describe("images are read as torchvision reads them", () => {
  it.each(files.filter((name) => !REFUSED.includes(name)))("%s", async (name) => {
    const pixels = await decodeNpz(readFileSync(path.join(ROOT, "pixels.npz")), "pixels.npz", [name]);
    const { bytes, shape } = pixels.get(name) as { bytes: Uint8Array; shape: number[] };
    expect(shape).toEqual([SIDE, SIDE, 3]);
    expect(Buffer.from(await preprocessor.pixels(path.join(ROOT, name))).equals(Buffer.from(bytes))).toBe(
      true,
    );
  });

  it.each(REFUSED)("or refused: %s", async (name) => {
    await expect(preprocessor.pixels(path.join(ROOT, name))).rejects.toMatchObject({
      code: "ERR_DATA_FILE",
      message: expect.stringContaining("make it 8 bits") as string,
    });
  });
});
