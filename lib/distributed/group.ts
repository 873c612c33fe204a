import { performance } from "node:perf_hooks";
import { TorchSearchError } from "../errors";
import { waitForKeys } from "../native/group-store";
import type { NativeGroupStore, NativeStoreOptions } from "../native/types/group-store";
import type { NativeExchangePlace } from "../native/types/trainer";
import { throwIfAborted } from "../util/abort";
import { setJoinedRank } from "./own-rank";

/** What {@link Group} is made of. */
export interface GroupParts {
  rank: number;
  worldSize: number;
  restarts: number;
  /** Seconds. */
  lease: number;
  /** Null for a group of one. */
  store: NativeGroupStore | null;
  /** How another connection to the store is made; null for a group of one. */
  connection: NativeStoreOptions | null;
  /** Whether other ranks need this process to stay until they have left. */
  serves: boolean;
}

/** What others have last heard of a rank. */
interface Heard {
  beats: string | null;
  since: number;
}

/**
 * This process as one of several that search together; {@link joinGroup} makes it. Give it to a search as `group`, and
 * {@link leave} at the end.
 */
export class Group {
  /** This process's number, from 0; rank 0 writes checkpoints and files. */
  readonly rank: number;
  /** How many processes there are. */
  readonly worldSize: number;
  /** How often all processes were started again, as torchrun counts. */
  readonly restarts: number;
  /** Seconds without a sign of life after which a rank's work is given to another one. */
  readonly lease: number;
  readonly #store: NativeGroupStore | null;
  readonly #connection: NativeStoreOptions | null;
  readonly #serves: boolean;
  readonly #heard = new Map<number, Heard>();
  #searches = 0;
  #leaving: Promise<void> | null = null;

  /** @internal */
  constructor({ rank, worldSize, restarts, lease, store, connection, serves }: GroupParts) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.restarts = restarts;
    this.lease = lease;
    this.#store = store;
    this.#connection = connection;
    this.#serves = serves;
  }

  /** Leaves the group. The process with the store waits until the others have left, for at most twice the lease. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** As {@link leave}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  /**
   * The store, for what is built on groups.
   *
   * @internal
   * @throws `ERR_CLOSED` after `leave`
   */
  get store(): NativeGroupStore {
    if (this.#leaving !== null || this.#store === null)
      throw new TorchSearchError("ERR_CLOSED", "The group was left; join it again.");
    return this.#store;
  }

  /**
   * What native code needs to hand bytes from rank to rank.
   *
   * @internal
   * @param prefix of the keys of these bytes
   * @param ended the key that says why the others can't go on
   */
  exchange(prefix: string, ended: string): { store: NativeStoreOptions; place: NativeExchangePlace } {
    return {
      store: this.#connection as NativeStoreOptions,
      place: {
        rank: this.rank,
        ranks: this.worldSize,
        prefix,
        ended,
        beats: beatKey(this.prefix, ""),
        left: leftKey(this.prefix, ""),
        lease: Math.round(1000 * this.lease),
      },
    };
  }

  /** The beginning of this run's keys: after a restart, others. @internal */
  get prefix(): string {
    return prefixOf(this.restarts);
  }

  /** The number of the next search; every rank counts alike. @internal */
  nextSearch(): number {
    this.#searches += 1;
    return this.#searches;
  }

  /**
   * Ranks that have left, or have not been heard of for the lease. It is this process that watches the time, so clocks
   * need not agree; it must ask again and again.
   *
   * @internal
   */
  async lost(ranks: readonly number[]): Promise<Set<number>> {
    return lostOf(this.store, this.prefix, ranks, this.#heard, this.lease);
  }

  /**
   * Waits for one of a rank's keys; goes on while that rank lives.
   *
   * @internal
   * @param stop a key that ends the waiting as well
   * @returns the key's value; null when `stop` came first
   * @throws `ERR_GROUP_PEER_LOST`, `ERR_ABORTED`
   */
  async await(
    rank: number,
    key: string,
    signal: AbortSignal | null,
    stop: string | null = null,
  ): Promise<string | null> {
    for (;;) {
      throwIfAborted(signal);
      await waitForKeys(this.store, [key], this.pause, signal);
      const [value = null, stopped = null] = await this.store.get(stop === null ? [key] : [key, stop]);
      if (value !== null) return value;
      if (stopped !== null) return null;
      if ((await this.lost([rank])).has(rank)) throw lostRank(rank);
    }
  }

  /** Milliseconds of one wait, after which the others' lives are looked at. @internal */
  get pause(): number {
    return Math.min(500, 125 * this.lease);
  }

  async #leave(): Promise<void> {
    const store = this.#store;
    setJoinedRank(null);
    if (store === null) return;
    try {
      await store.set(leftKey(this.prefix, this.rank), "1");
      if (this.#serves) await this.#waitForOthers(store);
    } catch {
      // A store that is lost needs no farewell.
    }
    await store.close();
  }

  async #waitForOthers(store: NativeGroupStore): Promise<void> {
    const ranks = Array.from({ length: this.worldSize }, (_, rank) => rank);
    const came = await store.get(ranks.map((rank) => rankKey(this.prefix, rank)));
    const until = performance.now() + 2000 * this.lease;
    let staying = ranks.filter((rank) => rank !== this.rank && came[rank] !== null);
    while (staying.length > 0 && performance.now() < until) {
      await store.wait(
        staying.map((rank) => leftKey(this.prefix, rank)),
        this.pause,
        {},
      );
      const lost = await lostOf(store, this.prefix, staying, this.#heard, this.lease);
      staying = staying.filter((rank) => !lost.has(rank));
    }
  }
}

async function lostOf(
  store: NativeGroupStore,
  prefix: string,
  ranks: readonly number[],
  heard: Map<number, Heard>,
  lease: number,
): Promise<Set<number>> {
  const values = await store.get(ranks.flatMap((rank) => [beatKey(prefix, rank), leftKey(prefix, rank)]));
  const now = performance.now();
  const lost = new Set<number>();
  for (const [i, rank] of ranks.entries()) {
    const [beats = null, left = null] = values.slice(2 * i, 2 * i + 2);
    const known = heard.get(rank);
    if (known === undefined || known.beats !== beats) heard.set(rank, { beats, since: now });
    else if (now - known.since > 1000 * lease) lost.add(rank);
    if (left !== null) lost.add(rank);
  }
  return lost;
}

/** The beginning of the keys of one run. */
export function prefixOf(restarts: number): string {
  return `torchsearch/${restarts}`;
}

/** Where a rank says what it is. */
export function rankKey(prefix: string, rank: number): string {
  return `${prefix}/rank/${rank}`;
}

/** Where a rank counts its signs of life. */
export function beatKey(prefix: string, rank: number | ""): string {
  return `${prefix}/beat/${rank}`;
}

function leftKey(prefix: string, rank: number | ""): string {
  return `${prefix}/left/${rank}`;
}

/** The error of a rank that others need. */
export function lostRank(rank: number): TorchSearchError {
  return new TorchSearchError(
    "ERR_GROUP_PEER_LOST",
    `Rank ${rank} has ended, or gave no sign of life for the lease, and this rank can't go on without it: start all ranks ` +
      "again; a search with a checkpoint goes on where it was. If that machine was only busy, give a longer lease.",
  );
}
