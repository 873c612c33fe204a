/** Some batches of a loader, one after the other. */
import { Tensor } from "../model/tensor";
import { Breather } from "../util/breather";
import { OWNED_BATCHES } from "./data-source";
import type { ImageFolderLoader } from "./image-folder";
import { closeTensors } from "./raw-tensor";
import { TensorDataLoader } from "./tensor-loader";

/** A loader that knows how many batches it has, and makes any of them. */
export type BatchedLoader = TensorDataLoader | ImageFolderLoader;

/** The batches `first` to `end - 1` of a loader; each pass makes them anew. */
export class BatchRange implements AsyncIterable<unknown> {
  readonly [OWNED_BATCHES] = true;
  readonly batches: number;

  constructor(
    readonly loader: BatchedLoader,
    readonly first: number,
    readonly end: number,
  ) {
    this.batches = end - first;
  }

  /** The batch at a position of the range, as a range of its own. */
  only(at: number): BatchRange {
    return new BatchRange(this.loader, this.first + at, this.first + at + 1);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (let at = this.first; at < this.end; at++) yield await this.loader.batch(at);
  }
}

/**
 * A range as a loader for training, which puts samples in another order in each epoch: of arrays, a loader over copies;
 * of images, the range itself, whose order is always the same.
 */
export async function trainingLoader(
  { loader, first, end }: BatchRange,
  batchSize: number,
): Promise<{ loader: TensorDataLoader | BatchRange; close(): void }> {
  if (!(loader instanceof TensorDataLoader))
    return { loader: new BatchRange(loader, first, end), close: () => {} };
  const breather = new Breather();
  const parts: Record<string, Tensor>[] = [];
  for (let at = first; at < end; at++) {
    parts.push(loader.batch(at) as Record<string, Tensor>);
    await breather.breathe();
  }
  const joined = Object.fromEntries(
    (loader.keys ?? []).map((key) => [key, concatenated(parts.map((part) => part[key] as Tensor))]),
  );
  for (const part of parts) closeTensors(part);
  const made = TensorDataLoader.fromTensors(joined, { batchSize });
  return {
    loader: made,
    close: () => {
      made.close();
      closeTensors(joined);
    },
  };
}

/** Tensors one after the other along their first dimension. */
function concatenated(tensors: readonly Tensor[]): Tensor {
  const [{ dtype, shape }] = tensors as [Tensor];
  const arrays = tensors.map((tensor) => tensor.data());
  const total = arrays.reduce((sum, { length }) => sum + length, 0);
  const [array] = arrays as [(typeof arrays)[number]];
  const all = new (array.constructor as new (length: number) => typeof array)(total);
  let at = 0;
  for (const each of arrays) {
    (all as Float32Array).set(each as Float32Array, at);
    at += each.length;
  }
  const rows = tensors.reduce((sum, tensor) => sum + (tensor.shape[0] as number), 0);
  return Tensor.from(all, [rows, ...shape.slice(1)], { dtype });
}
