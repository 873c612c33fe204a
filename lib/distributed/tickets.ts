/**
 * One round of shared measuring. Each unit of items is a ticket: a rank claims it, measures its items, and hands each
 * result in; the first result of an item counts. The ticket of a rank that was lost is given to another one.
 */
import { performance } from "node:perf_hooks";
import { TorchSearchError } from "../errors";
import { waitForKeys } from "../native/group-store";
import { isAbort, throwIfAborted } from "../util/abort";
import { isRecord } from "../util/check";
import type { Group } from "./group";
import { decodeValue, encodeValue, foreignValue } from "./values";
import type { MeasureOptions, WorkItem } from "./work-share";

/** The keys of a round. */
export interface RoundKeys {
  /** The beginning of the tickets' keys. */
  tickets: string;
  /** Where an item's result is. */
  result(item: WorkItem<unknown>): string;
  /** Set when the search can't go on; see {@link Ending}. */
  ended: string;
}

/** Why a search ended for all ranks. */
export interface Ending {
  rank: number;
  code: string;
  message: string;
}

/** A result in the store. */
type Outcome<T> = { value: T } | { error: Ending };

/** A ticket that was given back. */
const FREE = "free";
/** Results that are asked for at once. */
const BATCH = 16;

/** Runs one round on this rank; every rank of the group runs the same. */
export class Round<T> {
  readonly #group: Group;
  readonly #items: readonly WorkItem<T>[];
  readonly #units: readonly (readonly number[])[];
  readonly #unitOf: number[] = [];
  readonly #keys: RoundKeys;
  readonly #options: MeasureOptions<T>;
  readonly #results: T[] = [];
  /** When a ticket was first seen without an owner. */
  readonly #unclaimed = new Map<number, number>();

  constructor(
    group: Group,
    items: readonly WorkItem<T>[],
    units: readonly (readonly number[])[],
    keys: RoundKeys,
    options: MeasureOptions<T>,
  ) {
    this.#group = group;
    this.#items = items;
    this.#units = units;
    this.#keys = keys;
    this.#options = options;
    for (const [unit, members] of units.entries()) for (const item of members) this.#unitOf[item] = unit;
  }

  /** Every rank measures the first items by itself; their results must be the same. @throws `ERR_GROUP_MISMATCH` */
  async probe(): Promise<void> {
    const { probes = 1 } = this.#options;
    for (let item = 0; item < Math.min(probes, this.#items.length); item++) await this.#compare(item);
  }

  async #compare(item: number): Promise<void> {
    const { own, agreed } = await this.#measure(item);
    if (own === agreed) return;
    const theirs = outcomeOf<T>(agreed);
    if ("error" in theirs) throw errorOf(theirs.error);
    throw new TorchSearchError(
      "ERR_GROUP_MISMATCH",
      `Rank ${this.#group.rank} measures ${own} where another rank, or this search before a restart, has ${agreed}: give ` +
        "all ranks the same data, in the same order, and a score that depends on nothing else.",
    );
  }

  /** Measures what is this rank's, waits for the rest, and gives all results. */
  async run(): Promise<T[]> {
    const { store } = this.#group;
    const { signal } = this.#options;
    for (;;) {
      throwIfAborted(signal);
      await this.#requireGoingOn();
      const unit = (await store.add(`${this.#keys.tickets}/next`, 1)) - 1;
      if (unit >= this.#units.length) break;
      if (await this.#claim(unit, "")) await this.#work(unit);
      await this.#collect();
    }
    while (this.#results.length < this.#items.length) {
      throwIfAborted(signal);
      const next = this.#items[this.#results.length] as WorkItem<T>;
      await waitForKeys(store, [this.#keys.result(next)], this.#group.pause, signal);
      await this.#requireGoingOn();
      if (await this.#collect()) continue;
      const unit = await this.#takeOver();
      if (unit !== null) await this.#work(unit);
    }
    return this.#results;
  }

  #ticket(unit: number): string {
    return `${this.#keys.tickets}/ticket/${unit}`;
  }

  /** Whether the ticket is this rank's now. */
  async #claim(unit: number, before: string): Promise<boolean> {
    const own = String(this.#group.rank);
    return (await this.#group.store.compareSet(this.#ticket(unit), before, own)) === own;
  }

  async #work(unit: number): Promise<void> {
    const { store, rank } = this.#group;
    const members = this.#units[unit] as readonly number[];
    try {
      const known = await store.get(members.map((item) => this.#resultKey(item)));
      const open = members.filter((_, i) => known[i] === null);
      if (open.length > 0) this.#options.begin?.(open);
      for (const item of open) {
        throwIfAborted(this.#options.signal);
        await this.#measure(item);
        await this.#collect();
      }
    } catch (error) {
      // An item that this rank leaves unmeasured is another's.
      await store.compareSet(this.#ticket(unit), String(rank), FREE).catch(() => undefined);
      throw error;
    }
  }

  #resultKey(item: number): string {
    return this.#keys.result(this.#items[item] as WorkItem<T>);
  }

  /** Measures an item and hands the result in; gives it, and the one that counts. */
  async #measure(item: number): Promise<{ own: string; agreed: string }> {
    const { store, rank } = this.#group;
    let outcome: Outcome<T>;
    let failure: unknown = null;
    try {
      outcome = { value: await (this.#items[item] as WorkItem<T>).measure() };
    } catch (error) {
      if (isAbort(error)) throw error;
      failure = error;
      outcome = { error: endingOf(rank, error) };
    }
    const own = encodeValue(outcome);
    const agreed = await store.compareSet(this.#resultKey(item), "", own);
    if (failure !== null) throw failure;
    return { own, agreed };
  }

  /** Takes results in the order of the items, as far as they are known; whether there were any. */
  async #collect(): Promise<boolean> {
    const before = this.#results.length;
    for (;;) {
      const from = this.#results.length;
      const items = this.#items.slice(from, from + BATCH);
      if (items.length === 0) break;
      const found = await this.#group.store.get(items.map((item) => this.#keys.result(item)));
      for (const text of found) {
        if (text === null) break;
        const outcome = outcomeOf<T>(text);
        if ("error" in outcome) throw errorOf(outcome.error);
        this.#results.push(outcome.value);
        await this.#options.onResult?.(outcome.value, this.#results.length - 1);
      }
      if (this.#results.length < from + BATCH) break;
    }
    return this.#results.length > before;
  }

  /** A ticket of a rank that was lost, or that nobody took; null when there is none. */
  async #takeOver(): Promise<number | null> {
    const { store, lease } = this.#group;
    const open = new Set<number>();
    const left = this.#items.slice(this.#results.length);
    const known = await store.get(left.map((item) => this.#keys.result(item)));
    for (const [i, text] of known.entries())
      if (text === null) open.add(this.#unitOf[this.#results.length + i] as number);
    const units = [...open];
    const owners = await store.get(units.map((unit) => this.#ticket(unit)));
    const ranks = owners.filter((owner): owner is string => owner !== null && owner !== FREE).map(Number);
    const lost = await this.#group.lost([...new Set(ranks)]);
    for (const [i, unit] of units.entries()) {
      const owner = owners[i] ?? null;
      if (owner === null) {
        // Its rank is about to claim it, or was lost just then.
        const since = this.#unclaimed.get(unit) ?? performance.now();
        this.#unclaimed.set(unit, since);
        if (performance.now() - since < 1000 * lease) continue;
      } else if (owner !== FREE && !lost.has(Number(owner))) continue;
      if (await this.#claim(unit, owner ?? "")) return unit;
    }
    return null;
  }

  async #requireGoingOn(): Promise<void> {
    const [ended = null] = await this.#group.store.get([this.#keys.ended]);
    if (ended !== null) throw endedWith(ended);
  }
}

/** A result in the store; a value that was undefined has no key. */
function outcomeOf<T>(text: string): Outcome<T> {
  const outcome = decodeValue<Outcome<T>>(text);
  if ("error" in outcome) requireEnding(outcome.error, text);
  return outcome;
}

function requireEnding(value: unknown, text: string): void {
  if (!isRecord(value)) throw foreignValue(text);
  const { rank, code, message } = value;
  if (typeof rank !== "number" || typeof code !== "string" || typeof message !== "string")
    throw foreignValue(text);
}

/** What an error is for the other ranks. */
export function endingOf(rank: number, error: unknown): Ending {
  const message = error instanceof Error ? error.message : String(error);
  return { rank, code: error instanceof TorchSearchError ? error.code : "ERR_GROUP_PEER_LOST", message };
}

/** The error that ended another rank, from the store. */
export function endedWith(text: string): TorchSearchError {
  const ending = decodeValue<Ending>(text);
  requireEnding(ending, text);
  return errorOf(ending);
}

/** The error of a rank, on another one. */
export function errorOf({ rank, code, message }: Ending): TorchSearchError {
  return new TorchSearchError(code, `${message} (on rank ${rank})`);
}
