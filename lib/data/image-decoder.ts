/** Decoding of images beside the event loop, in one thread of the process that is started by the first image. */
import { existsSync } from "node:fs";
import path from "node:path";
import { Worker } from "node:worker_threads";

import { TorchSearchError } from "../errors";
import { loadNative } from "../native/load";
import { decodeImage, type ImageTarget } from "./image-decode";

/** A request to the thread. */
export interface ImageTask {
  id: number;
  file: string;
  target: ImageTarget;
}

/** Its answer. */
export type ImageAnswer =
  | { id: number; pixels: Uint8Array }
  | { id: number; error: { code: string | null; message: string } };

interface Pending {
  resolve(pixels: Uint8Array): void;
  reject(error: Error): void;
}

const THREAD = path.join(__dirname, "image-thread.js");
const pending = new Map<number, Pending>();
let thread: Worker | null = null;
let tasks = 0;

/**
 * As {@link decodeImage}, in another thread. sharp computes on libuv's threads anyway, but loading it takes a tenth of
 * a second, and its decoded images, ten times the size of the part that is kept, would burden this thread's garbage
 * collector.
 */
export function decodeBeside(file: string, target: ImageTarget): Promise<Uint8Array> {
  // The library in one bundled file, or run from its sources, has no file for a thread.
  if (!existsSync(THREAD)) return decodeImage(file, target);
  thread ??= start();
  const worker = thread;
  const id = tasks++;
  return new Promise<Uint8Array>((resolve, reject) => {
    pending.set(id, { resolve, reject });
    // An idle thread keeps no process alive.
    worker.ref();
    worker.postMessage({ id, file, target } satisfies ImageTask);
  });
}

function start(): Worker {
  // Loaded here first: two threads that open libraries wait for each other.
  loadNative();
  const worker = new Worker(THREAD, { execArgv: [] });
  const failed = (error: Error): void => {
    if (thread === worker) thread = null;
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  worker.on("message", (answer: ImageAnswer) => {
    const task = pending.get(answer.id);
    pending.delete(answer.id);
    if (pending.size === 0) worker.unref();
    if ("pixels" in answer) task?.resolve(answer.pixels);
    else task?.reject(errorOf(answer.error));
  });
  worker.on("error", failed);
  worker.on("exit", (code) => failed(new Error(`the thread that decodes images ended with code ${code}`)));
  return worker;
}

function errorOf({ code, message }: { code: string | null; message: string }): Error {
  return code === null ? new Error(message) : new TorchSearchError(code, message);
}
