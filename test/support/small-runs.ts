/** A search and a training that take a moment and keep a checkpoint. */
import { existsSync } from "node:fs";
import path from "node:path";

import {
  finetune,
  Module,
  RandomSearcher,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
  TorchSearchError,
} from "../../lib";

export const digitsInput = (): Tensor => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** Random subnets of a space over test/fixtures/digits_cnn.pt. */
export async function smallSearch(space: SearchSpace, checkpoint: string, numIters: number): Promise<void> {
  await new RandomSearcher().search(space, { flops: "60%" }, digitsInput(), {
    numIters,
    seed: 4,
    verbose: false,
    checkpoint,
    scoreFunc: async () => Number(((await space.forward(digitsInput())) as Tensor).data()[0]),
  });
}

/** Four epochs over a small model; or only until the checkpoint is there, for a run that can be resumed. */
export async function smallTraining(
  fixtures: string,
  checkpoint: string,
  { untilSaved = false } = {},
): Promise<void> {
  const module = await Module.load(path.join(fixtures, "finetune", "dropout.pt"));
  const data = await TensorDataLoader.fromNpz(path.join(fixtures, "finetune", "data.npz"), {
    keys: ["images", "labels"],
    batchSize: 8,
  });
  const controller = new AbortController();
  const stop = (): void => {
    if (untilSaved && existsSync(checkpoint)) controller.abort();
  };
  try {
    const { signal } = controller;
    await finetune(module, data, {
      epochs: 4,
      seed: 5,
      checkpoint,
      checkpointSeconds: 0,
      signal,
      onProgress: stop,
    });
  } catch (error) {
    const stopped = error instanceof TorchSearchError && error.code === "ERR_ABORTED";
    if (!untilSaved || !stopped) throw error;
  } finally {
    module.close();
    data.close();
  }
}
