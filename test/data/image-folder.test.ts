/** Images from folders against torchvision's ImageFolder and transforms (scripts/fixtures/images.py). */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  crossEntropy,
  type ImageBatch,
  ImageFolderLoader,
  Module,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { ImagePreprocessor } from "../../lib/data/image-preprocess";
import { decodeNpz } from "../../lib/data/npz";

const ROOT = path.resolve(__dirname, "../fixtures/images");
const CLASSES = path.join(ROOT, "classes");
const expected = JSON.parse(readFileSync(path.join(ROOT, "expected.json"), "utf8")) as {
  presets: Record<string, { resize: number; crop: number; interpolation: "bilinear" | "bicubic" }>;
  classes: string[];
  files: string[];
  labels: number[];
};
const STD = [0.229, 0.224, 0.225];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-images-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function all(loader: ImageFolderLoader): Promise<{ images: number[][]; labels: number[] }> {
  const images: number[][] = [];
  const labels: number[] = [];
  for await (const batch of loader) {
    const data = batch.images.data() as Float32Array;
    const size = data.length / (batch.images.shape[0] as number);
    for (let at = 0; at < data.length; at += size) images.push(Array.from(data.subarray(at, at + size)));
    labels.push(...Array.from((batch.labels?.data() ?? []) as BigInt64Array, Number));
    closeBatch(batch);
  }
  return { images, labels };
}

function closeBatch(batch: ImageBatch): void {
  batch.images.close();
  batch.labels?.close();
}

describe("ImageFolderLoader", () => {
  it("numbers classes and orders files as torchvision's ImageFolder does", async () => {
    using loader = await ImageFolderLoader.open(CLASSES);
    expect(loader.classes).toEqual(expected.classes);
    expect(loader.files.map((file) => path.relative(ROOT, file))).toEqual(expected.files);
    expect(loader).toMatchObject({ samples: expected.files.length, batches: 1, keys: ["images", "labels"] });
  });

  it.each(Object.keys(expected.presets))(
    "preprocesses as torchvision does, to the last bit: %s",
    async (name) => {
      const preset = expected.presets[name] as (typeof expected.presets)[string];
      const arrays = await decodeNpz(readFileSync(path.join(ROOT, "expected.npz")), "expected.npz", [name]);
      const { bytes, shape } = arrays.get(name) as { bytes: Uint8Array; shape: number[] };
      const reference = new Float32Array(new Uint8Array(bytes).buffer);
      using loader = await ImageFolderLoader.open(CLASSES, { ...preset, batchSize: 3 });
      const { images, labels } = await all(loader);
      expect(labels).toEqual(expected.labels);
      expect([images.length, 3, preset.crop, preset.crop]).toEqual(shape);
      const plane = preset.crop ** 2;
      for (const [i, image] of images.entries()) {
        const levels = image.map((value, at) => {
          const std = STD[Math.floor(at / plane)] as number;
          return Math.abs(value - (reference[i * image.length + at] as number)) * std * 255;
        });
        expect(Math.max(...levels), loader.files[i]).toBe(0);
      }
    },
  );

  it("takes images without subfolders as unlabeled", async () => {
    using loader = await ImageFolderLoader.open(path.join(ROOT, "flat"), { resize: 40, crop: 40 });
    expect(loader.files.map((file) => path.basename(file))).toEqual(["a.png", "b.png"]);
    expect(loader.classes).toBeNull();
    const batch = await loader.batch(0);
    expect(Object.keys(batch)).toEqual(["images"]);
    expect(batch.images.shape).toEqual([2, 3, 40, 40]);
  });

  it("shuffles alike for a seed, in every pass, with the labels of each image", async () => {
    const label = new Map(expected.files.map((file, at) => [file, expected.labels[at]]));
    const open = (seed: number) =>
      ImageFolderLoader.open(CLASSES, { shuffle: true, seed, batchSize: 2, resize: 8, crop: 8 });
    using one = await open(1);
    using again = await open(1);
    using other = await open(2);
    expect(one.files).toEqual(again.files);
    expect(one.files).not.toEqual(other.files);
    const first = await all(one);
    expect(await all(one)).toEqual(first);
    expect(first.labels).toEqual(one.files.map((file) => label.get(path.relative(ROOT, file))));
  });

  it("gives the same with a cache, without one, and with one too small", async () => {
    const options = { resize: 16, crop: 16, batchSize: 4 };
    using kept = await ImageFolderLoader.open(CLASSES, options);
    using none = await ImageFolderLoader.open(CLASSES, { ...options, cacheBytes: 0 });
    using little = await ImageFolderLoader.open(CLASSES, { ...options, cacheBytes: 3 * 16 * 16 * 3 });
    const reference = await all(kept);
    for (const loader of [kept, none, little]) {
      expect(await all(loader)).toEqual(reference);
      expect(await all(loader)).toEqual(reference);
    }
  });

  it("labels by the classes that are named, and leaves others out as an error", async () => {
    using loader = await ImageFolderLoader.open(CLASSES, { classes: ["bee", "cat", "ant", "Zebra"] });
    expect(new Set((await all(loader)).labels)).toEqual(new Set([0, 2, 3]));
    await expect(ImageFolderLoader.open(CLASSES, { classes: ["bee", "ant"] })).rejects.toMatchObject({
      code: "ERR_DATASET",
      message: expect.stringContaining('"Zebra"') as string,
    });
  });

  it("follows links to folders", async () => {
    const linked = path.join(folder, "linked");
    mkdirSync(linked);
    symlinkSync(path.join(CLASSES, "ant"), path.join(linked, "ant"));
    using loader = await ImageFolderLoader.open(linked);
    expect(loader.samples).toBe(2);
  });

  it("is scored as the same images in memory are", async () => {
    const model = await Module.load(path.resolve(__dirname, "../fixtures/hard/simple_cnn.scripted.pt"));
    const options = { resize: 8, crop: 8, batchSize: 3 };
    using loader = await ImageFolderLoader.open(CLASSES, options);
    const { images, labels } = await all(loader);
    const memory = TensorDataLoader.fromTensors(
      [
        Tensor.from(Float32Array.from(images.flat()), [images.length, 3, 8, 8]),
        Tensor.from(BigInt64Array.from(labels, BigInt)),
      ],
      { batchSize: 3 },
    );
    expect(await crossEntropy(loader)(model)).toBeCloseTo(await crossEntropy(memory)(model), 6);
    memory.close();
    model.close();
  });

  it("prepares batches beside the event loop", async () => {
    const preprocessor = new ImagePreprocessor();
    const images = Array.from({ length: 64 }, (_, at) => new Uint8Array(3 * 224 ** 2).fill(at));
    // What a timer would measure here, the load of the machine would decide. Turns are not a matter of time: work on
    // this thread lets none through, and work on libuv's threads needs one to hand over its result.
    let settled = false;
    let turns = 0;
    const batch = preprocessor.normalize(images).finally(() => {
      settled = true;
    });
    for (; !settled; turns++) await new Promise(setImmediate);
    expect(turns).toBeGreaterThan(1);
    const tensor = await batch;
    const data = tensor.data();
    expect(tensor.shape).toEqual([64, 3, 224, 224]);
    for (const at of [0, 17, 63]) expect(data[at * 3 * 224 ** 2]).toBeCloseTo((at / 255 - 0.485) / 0.229, 5);
    tensor.close();
  });

  it("refuses what would be another data set than it seems", async () => {
    const make = (name: string, files: Record<string, string>): string => {
      const target = path.join(folder, name);
      for (const [file, content] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(target, file)), { recursive: true });
        if (content === "") cpSync(path.join(ROOT, "flat", "a.png"), path.join(target, file));
        else writeFileSync(path.join(target, file), content);
      }
      return target;
    };
    const refused = async (target: string, options: object, code: string, message: RegExp): Promise<void> => {
      await expect(ImageFolderLoader.open(target, options)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message) as string,
      });
    };
    await refused(path.join(folder, "nowhere"), {}, "ERR_DATA_FILE", /can't be read/);
    await refused(make("none", { "a/x.txt": "text" }), {}, "ERR_DATA_FILE", /holds no images/);
    await refused(
      make("mixed", { "x.png": "", "a/x.png": "" }),
      {},
      "ERR_DATA_FILE",
      /beside its subfolders/,
    );
    await refused(make("gap", { "a/x.png": "", "b/x.txt": "t" }), {}, "ERR_DATA_FILE", /without images/);
    await refused(make("bitmap", { "a/x.bmp": "BM" }), {}, "ERR_DATA_FILE", /convert it to PNG/);
    await refused(CLASSES, { resize: 8, crop: 9 }, "ERR_ARGUMENT", /at least crop/);
    await refused(CLASSES, { mean: [0, 0] }, "ERR_ARGUMENT", /mean/);
    await refused(CLASSES, { std: [1, 0, 1] }, "ERR_ARGUMENT", /std/);
    using broken = await ImageFolderLoader.open(make("broken", { "a/x.png": "no image" }));
    await expect(broken.batch(0)).rejects.toMatchObject({
      code: "ERR_DATA_FILE",
      message: expect.stringMatching(/broken.a.x\.png can't be decoded/) as string,
    });
    using closed = await ImageFolderLoader.open(CLASSES);
    closed.close();
    await expect(closed.batch(0)).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });
});
