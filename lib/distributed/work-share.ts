/** What a search hands to the group that it runs in, or does by itself. */
import { throwIfAborted } from "../util/abort";

/** Something that one rank measures for all. */
export interface WorkItem<T> {
  /** What the result depends on, such as a candidate's widths: the same text on every rank. */
  key: string;
  /** How long it takes, in any unit; the largest begin first. */
  cost: number;
  /** Gives the result; JSON must hold it. */
  measure(): Promise<T>;
}

/** How {@link WorkShare.measureAll} goes about it. */
export interface MeasureOptions<T> {
  /** Ends the measuring with `ERR_ABORTED`. */
  signal: AbortSignal | null;
  /**
   * Whether the order of the items is worth keeping, because each goes on from what the one before has computed: then a
   * rank takes neighbours together, and `begin` is called before it measures them.
   */
  inOrder?: boolean;
  /** Of the first round: how many items, from the first on, every rank measures, so that they can be compared. */
  probes?: number;
  /** Called before a rank measures these items one after the other. */
  begin?(items: readonly number[]): void;
  /** Receives each result in the order of the items, as soon as it and those before it are known. */
  onResult?(result: T, item: number): void | Promise<void>;
}

/** The work of one search. Every rank calls the same functions in the same order, and gets the same results. */
export interface WorkShare {
  /** This process's number, from 0. */
  readonly rank: number;
  /** How many items can be measured at the same time. */
  readonly worldSize: number;
  /** What rank 0 makes, on every rank: for what is timed, or may differ between machines. JSON must hold it. */
  once<T>(make: () => Promise<T>, signal: AbortSignal | null): Promise<T>;
  /** Measures each item on one of the ranks; gives all results, in the order of the items. JSON must hold them. */
  measureAll<T>(items: readonly WorkItem<T>[], options: MeasureOptions<T>): Promise<T[]>;
  /** The search ends: well, or with an error. */
  end(error: unknown): Promise<void>;
}

/** A process by itself. */
export const ALONE: WorkShare = {
  rank: 0,
  worldSize: 1,
  once: (make) => make(),
  async measureAll<T>(
    items: readonly WorkItem<T>[],
    { signal, begin, onResult }: MeasureOptions<T>,
  ): Promise<T[]> {
    const results: T[] = [];
    if (items.length > 0) begin?.([...items.keys()]);
    for (const [at, item] of items.entries()) {
      throwIfAborted(signal);
      const result = await item.measure();
      results.push(result);
      await onResult?.(result, at);
    }
    return results;
  },
  end: async () => undefined,
};
