/** Decodes images in a worker thread; see `decodeBeside`. */
import { parentPort } from "node:worker_threads";

import { TorchSearchError } from "../errors";
import { decodeImage } from "./image-decode";
import type { ImageAnswer, ImageTask } from "./image-decoder";

parentPort?.on("message", ({ id, file, target }: ImageTask) => {
  decodeImage(file, target).then(
    (pixels) => answer({ id, pixels }, [pixels.buffer as ArrayBuffer]),
    (error: Error) => {
      const code = error instanceof TorchSearchError ? error.code : null;
      answer({ id, error: { code, message: error.message } }, []);
    },
  );
});

function answer(message: ImageAnswer, moved: ArrayBuffer[]): void {
  parentPort?.postMessage(message, moved);
}
