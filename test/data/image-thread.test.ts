/** Images decoded beside the event loop, as users have it: from dist/, since the library's sources have no file for a thread. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

import { root } from "../support/zoo";

const CLASSES = path.join(root, "test", "fixtures", "images", "classes");

/** What a program that uses the library says as JSON. */
async function said(program: string): Promise<unknown> {
  const script = `
    import { existsSync, writeFileSync, mkdtempSync, mkdirSync, rmSync } from "node:fs";
    import { ImageFolderLoader, Module, crossEntropy } from ${JSON.stringify(path.join(root, "dist", "index.mjs"))};
    const opened = [];
    const dlopen = process.dlopen;
    process.dlopen = (module, file, ...more) => { opened.push(file); return dlopen.call(process, module, file, ...more); };
    const CLASSES = ${JSON.stringify(CLASSES)};
    ${program}`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  return JSON.parse(stdout);
}

it("loads the decoder in another thread, and lets the process end", { timeout: 60_000 }, async () => {
  const { decoders, shapes } = (await said(`
    const shapes = [];
    const loader = await ImageFolderLoader.open(CLASSES, { batchSize: 4, resize: 40, crop: 32 });
    for await (const { images, labels } of loader) { shapes.push(images.shape); images.close(); labels.close(); }
    console.log(JSON.stringify({ decoders: opened.filter((file) => /sharp/.test(file)), shapes }));
  `)) as { decoders: string[]; shapes: number[][] };
  expect(decoders).toEqual([]);
  expect(shapes[0]).toEqual([4, 3, 32, 32]);
});

it("tells what is wrong with an image, and decodes on", { timeout: 60_000 }, async () => {
  const { errors, shape } = (await said(`
    const folder = mkdtempSync("torchsearch-images-");
    mkdirSync(folder + "/a");
    writeFileSync(folder + "/a/x.png", "no image");
    const broken = await ImageFolderLoader.open(folder, { batchSize: 1 });
    const errors = [];
    for (let i = 0; i < 2; i++) await broken.batch(0).catch(({ name, code, message }) => errors.push({ name, code, message }));
    rmSync(folder, { recursive: true });
    const sound = await ImageFolderLoader.open(CLASSES, { batchSize: 2, resize: 16, crop: 16 });
    const { images } = await sound.batch(0);
    console.log(JSON.stringify({ errors, shape: images.shape }));
  `)) as { errors: object[]; shape: number[] };
  expect(errors).toHaveLength(2);
  for (const error of errors)
    expect(error).toMatchObject({
      name: "TorchSearchError",
      code: "ERR_DATA_FILE",
      message: expect.stringContaining("x.png can't be decoded as an image") as string,
    });
  expect(shape).toEqual([2, 3, 16, 16]);
});
