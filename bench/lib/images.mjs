// A folder of images as loaders take it: 64 JPEG files of 500x375, ImageNet's usual size, of smooth noise, in four classes.
import { hkdfSync } from "node:crypto";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import path from "node:path";

import sharp from "sharp";

const [WIDTH, HEIGHT] = [500, 375];

export async function imageFolder(folder, count = 64) {
  if (existsSync(folder)) return folder;
  const coarse = { width: 20, height: 15, channels: 3 };
  const partial = `${folder}.partial`;
  for (let i = 0; i < count; i++) {
    const target = path.join(partial, `class${i % 4}`);
    mkdirSync(target, { recursive: true });
    // Any bytes work, as long as they are the same everywhere.
    const noise = hkdfSync("sha256", String(i), "", "", coarse.width * coarse.height * 3);
    await sharp(Buffer.from(noise), { raw: coarse })
      .resize(WIDTH, HEIGHT, { kernel: "cubic" })
      .jpeg({ quality: 90 })
      .toFile(path.join(target, `${String(i).padStart(3, "0")}.jpg`));
  }
  renameSync(partial, folder);
  return folder;
}
