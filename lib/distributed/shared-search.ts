/** A search, or training, that runs on every rank of a group. */
import { TorchSearchError } from "../errors";
import { isAbort } from "../util/abort";
import { jsonDigest } from "../util/digest";
import type { Group } from "./group";
import { type Ending, endedWith, endingOf, Round } from "./tickets";
import { largestFirst, neighbours } from "./units";
import { decodeValue, encodeValue, foreignValue } from "./values";
import type { MeasureOptions, WorkItem, WorkShare } from "./work-share";

/** What has to be the same on all ranks, by the name that messages have for it. */
export type SearchFacts = Readonly<Record<string, unknown>>;

/** The store takes no longer values at once. */
const PIECE = 2 ** 22;
/** No value has more of them: it would be 4 GiB. */
const MOST_PIECES = 1024;

/** @see WorkShare */
export class SharedSearch implements WorkShare {
  readonly #group: Group;
  /** The beginning of the keys of this run, and that of the results, which last when all ranks are started again. */
  readonly #prefix: string;
  readonly #results: string;
  #steps = 0;
  #probed = false;

  private constructor(group: Group, number: number, facts: SearchFacts) {
    this.#group = group;
    this.#prefix = `${group.prefix}/search/${number}`;
    this.#results = `torchsearch/results/${number}/${jsonDigest(facts)}`;
  }

  /**
   * Begins a search, when rank 0 has begun the same.
   *
   * @throws `ERR_GROUP_MISMATCH` naming what differs from rank 0, `ERR_GROUP_PEER_LOST`, `ERR_ABORTED`
   */
  static async begin(group: Group, facts: SearchFacts, signal: AbortSignal | null): Promise<SharedSearch> {
    const search = new SharedSearch(group, group.nextSearch(), facts);
    await search.#compareFacts(facts, signal);
    return search;
  }

  get rank(): number {
    return this.#group.rank;
  }

  get worldSize(): number {
    return this.#group.worldSize;
  }

  async once<T>(make: () => Promise<T>, signal: AbortSignal | null): Promise<T> {
    const key = this.#nextStep();
    if (this.rank === 0) {
      const value = encodeValue({ value: await make() });
      const pieces = Math.ceil(value.length / PIECE);
      for (let i = 0; i < pieces; i++)
        await this.#group.store.set(`${key}/${i}`, value.slice(i * PIECE, (i + 1) * PIECE));
      await this.#group.store.set(key, String(pieces));
      return decodeValue<{ value: T }>(value).value;
    }
    const said = await this.#fromRank0(key, signal);
    const pieces = Number(said);
    if (!Number.isInteger(pieces) || pieces < 1 || pieces > MOST_PIECES) throw foreignValue(said);
    const keys = Array.from({ length: pieces }, (_, i) => `${key}/${i}`);
    const value = (await this.#group.store.get(keys)).join("");
    return decodeValue<{ value: T }>(value).value;
  }

  async measureAll<T>(items: readonly WorkItem<T>[], options: MeasureOptions<T>): Promise<T[]> {
    if (items.length === 0) return [];
    const step = this.#nextStep();
    await this.#compareProposals(step, items);
    const units = options.inOrder ? neighbours(items, this.worldSize) : largestFirst(items);
    const keys = {
      tickets: step,
      result: ({ key }: WorkItem<unknown>) => `${this.#results}/${jsonDigest(key)}`,
      ended: this.#endedKey,
    };
    const round = new Round(this.#group, items, units, keys, options);
    if (!this.#probed) await round.probe();
    this.#probed = true;
    return round.run();
  }

  /** Tells the others of an end that they can't go on after. */
  async end(error: unknown): Promise<void> {
    if (error === null) return;
    if (this.rank === 0 || (error instanceof TorchSearchError && error.code === "ERR_GROUP_MISMATCH"))
      await this.endAll(error);
  }

  /** Ends the work of all ranks, whichever this is. */
  async endAll(error: unknown): Promise<void> {
    const ending = endingOf(this.rank, error);
    const told: Ending = isAbort(error)
      ? { ...ending, code: "ERR_GROUP_PEER_LOST", message: ABORTED }
      : ending;
    try {
      await this.#group.store.compareSet(this.#endedKey, "", JSON.stringify(told));
    } catch {
      // A store that is lost ends the others by itself.
    }
  }

  /** Why the work of all was ended; null where it was not. */
  async reason(): Promise<TorchSearchError | null> {
    const [ended = null] = await this.#group.store.get([this.#endedKey]);
    return ended === null ? null : endedWith(ended);
  }

  /** What native code needs to hand bytes from rank to rank. */
  get exchange(): ReturnType<Group["exchange"]> {
    return this.#group.exchange(`${this.#prefix}/sums`, this.#endedKey);
  }

  get #endedKey(): string {
    return `${this.#prefix}/ended`;
  }

  #nextStep(): string {
    this.#steps += 1;
    return `${this.#prefix}/step/${this.#steps}`;
  }

  /** A key of rank 0's, or its error. */
  async #fromRank0(key: string, signal: AbortSignal | null): Promise<string> {
    const value = await this.#group.await(0, key, signal, this.#endedKey);
    if (value !== null) return value;
    const [ended = null] = await this.#group.store.get([this.#endedKey]);
    throw endedWith(ended as string);
  }

  async #compareFacts(facts: SearchFacts, signal: AbortSignal | null): Promise<void> {
    const key = `${this.#prefix}/facts`;
    const own = Object.fromEntries(
      Object.entries(facts).map(([name, value]) => [name, JSON.stringify(value) ?? "none"]),
    );
    if (this.rank === 0) {
      await this.#group.store.set(key, JSON.stringify(own));
      return;
    }
    const first = decodeValue<Record<string, string>>(await this.#fromRank0(key, signal));
    const names = new Set([...Object.keys(own), ...Object.keys(first)]);
    const differing = [...names].filter((name) => own[name] !== first[name]);
    if (differing.length === 0) return;
    const error = new TorchSearchError(
      "ERR_GROUP_MISMATCH",
      `Rank ${this.rank} works with another ${differing.join(", ")} than rank 0 (` +
        `${differing.map((name) => `${name}: ${short(own[name])} instead of ${short(first[name])}`).join("; ")}): start all ` +
        "ranks with the same program, files and options.",
    );
    await this.end(error);
    throw error;
  }

  async #compareProposals(step: string, items: readonly WorkItem<unknown>[]): Promise<void> {
    const own = jsonDigest(items.map(({ key }) => key));
    if ((await this.#group.store.compareSet(`${step}/proposals`, "", own)) === own) return;
    throw new TorchSearchError(
      "ERR_GROUP_MISMATCH",
      `Rank ${this.rank} proposes other candidates than another rank at step ${this.#steps}: the search may depend on ` +
        "nothing but its seed, its state and its scores.",
    );
  }
}

const ABORTED = "The work was aborted";

function short(text = "none"): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
