/** Where batches come from, and how they are walked: any iterable, more than once. */

import { TorchSearchError } from "../errors";
import { isAbort, orAbandoned, throwIfAborted } from "../util/abort";
import { isRecord } from "../util/check";
import { listed } from "../util/listed";

/** Batches in order, sync or async. */
export type BatchIterable<Batch = unknown> = Iterable<Batch> | AsyncIterable<Batch>;

/**
 * A source of batches that can be walked again and again: an iterable (an array, a data loader), or a function that
 * returns a fresh one each time. A generator object can be walked only once; give the generator function instead.
 */
export type DataSource<Batch = unknown> =
  | BatchIterable<Batch>
  | (() => BatchIterable<Batch> | Promise<BatchIterable<Batch>>);

/** Marks a loader that makes new batches in each pass, so that the code that walks it may close their tensors. */
export const OWNED_BATCHES: unique symbol = Symbol.for("torchsearch.ownedBatches");

export function isDataSource(value: unknown): value is DataSource {
  return typeof value === "function" || isBatchIterable(value);
}

function isBatchIterable(value: unknown): value is BatchIterable {
  if (typeof value !== "object" || value === null) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/** Whether the code that walks this source may close its batches. */
export function ownsBatches(source: DataSource): boolean {
  return typeof source === "object" && OWNED_BATCHES in source;
}

/** Iterators that have been walked; they can't be walked again. */
const spent = new WeakSet<object>();

/** The source's number of batches where it says so (`batches`, or `length` of an array), else null. */
export function batchCount(source: DataSource): number | null {
  if (Array.isArray(source)) return source.length;
  const batches = (source as { batches?: unknown }).batches;
  return Number.isSafeInteger(batches) ? (batches as number) : null;
}

/**
 * Walks a source once, at most `maxBatches` batches, without asking it for a batch too many.
 *
 * @throws `ERR_LOADER_ONE_SHOT` when the source is an iterator that was walked before, `ERR_EMPTY_LOADER` when it
 *   gives no batch at all, `ERR_LOADER_FAILED` (with cause) when it throws, `ERR_ABORTED` between batches
 */
export async function* walkBatches(
  source: DataSource,
  maxBatches: number | null,
  signal?: AbortSignal | null,
): AsyncGenerator<unknown, void, undefined> {
  throwIfAborted(signal);
  let count = 0;
  const iterator = await guarded(count, () => orAbandoned(openIterator(source), signal));
  let finished = false;
  try {
    while (maxBatches === null || count < maxBatches) {
      const next = await guarded(count, async () => {
        const { done, value } = await orAbandoned(iterator.next(), signal);
        return { done, value: await orAbandoned(value, signal) }; // an array may hold promises of batches
      });
      if (next.done) {
        finished = true;
        break;
      }
      count += 1;
      throwIfAborted(signal);
      yield next.value;
      throwIfAborted(signal);
    }
  } finally {
    // As `for await` does it: a walk that stops early ends the iterator, so that it can close its files.
    // A generator that never answers doesn't end either.
    if (!finished) await orAbandoned(iterator.return?.(), signal).catch(rethrowUnlessAbort);
  }
  if (count === 0) {
    throw new TorchSearchError("ERR_EMPTY_LOADER", "The data loader gave no batch; give it at least one.");
  }
}

async function openIterator(source: DataSource): Promise<Iterator<unknown> | AsyncIterator<unknown>> {
  const iterable = typeof source === "function" ? await source() : source;
  if (!isBatchIterable(iterable)) {
    throw new TorchSearchError(
      "ERR_LOADER_FAILED",
      "The data loader function must return an iterable of batches, sync or async.",
    );
  }
  const iterator =
    Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
  if ((iterator as unknown) === iterable) {
    if (spent.has(iterable)) {
      throw new TorchSearchError(
        "ERR_LOADER_ONE_SHOT",
        "The data loader is a generator or iterator that was already walked. A search walks its data many times: " +
          "give an array, an object with [Symbol.iterator], or a function that returns a fresh generator.",
      );
    }
    spent.add(iterable);
  }
  return iterator;
}

function rethrowUnlessAbort(error: unknown): void {
  if (!isAbort(error)) throw error;
}

async function guarded<T>(batch: number, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof TorchSearchError || isAbort(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TorchSearchError("ERR_LOADER_FAILED", `The data loader failed at batch ${batch}: ${reason}`, {
      cause: error,
    });
  }
}

/** The default `collectFunc`: the first element of an array or record, or the batch itself when it is neither. */
export function firstElement(batch: unknown): unknown {
  return elementAt(batch, 0);
}

/** The element of a batch at a position (arrays, records) or under a key (records). */
export function elementAt(batch: unknown, at: number | string): unknown {
  if (Array.isArray(batch) || isRecord(batch)) {
    const elements: Record<string, unknown> | unknown[] = batch;
    const found =
      typeof at === "number"
        ? Object.values(elements)[at]
        : Object.hasOwn(elements, at)
          ? (elements as Record<string, unknown>)[at]
          : undefined;
    if (found !== undefined) return found;
    throw new TorchSearchError(
      "ERR_BATCH",
      `A batch has no element ${JSON.stringify(at)}; it is ${Array.isArray(batch) ? `an array of ${batch.length}` : `a record of ${listed(Object.keys(batch))}`}. Set collectFunc to pick the model's inputs.`,
    );
  }
  if (at === 0) return batch;
  throw new TorchSearchError(
    "ERR_BATCH",
    `A batch must be an array or a record to have an element ${JSON.stringify(at)}.`,
  );
}
