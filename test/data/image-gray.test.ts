/** Grey images against Pillow's conversion of the same pixels. */
import path from "node:path";

import { expect, it } from "vitest";

import { ImageFolderLoader } from "../../lib";
import { ImagePreprocessor } from "../../lib/data/image-preprocess";
import { runPython } from "./python";

const CLASSES = path.resolve(__dirname, "../fixtures/images/classes");

it("are what Pillow makes of the colours, with one channel", { timeout: 60_000 }, async () => {
  using loader = await ImageFolderLoader.open(CLASSES, { crop: 16, resize: 16, gray: true, batchSize: 2 });
  const colours = new ImagePreprocessor({ crop: 16, resize: 16 });
  const files = loader.files.slice(0, 2);
  const pixels = await Promise.all(files.map(async (file) => Array.from(await colours.pixels(file))));
  const right = runPython<number[]>(
    `
import json, sys, numpy as np
from PIL import Image
images = np.array(json.loads(sys.argv[1]), dtype=np.uint8).reshape(2, 16, 16, 3)
grey = np.stack([np.asarray(Image.fromarray(each).convert("L")) for each in images])
print(json.dumps((grey.astype(np.float32) / np.float32(255)).ravel().tolist()))`,
    JSON.stringify(pixels),
  );
  const { images, labels } = await loader.batch(0);
  expect(images.shape).toEqual([2, 1, 16, 16]);
  expect(Array.from(images.data() as Float32Array)).toEqual(right);
  images.close();
  labels?.close();
});
