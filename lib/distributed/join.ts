/** Making one of several processes a member of their group. */
import { randomUUID } from "node:crypto";
import os from "node:os";
import { TorchSearchError } from "../errors";
import { cpuCapability, joinStore, waitForKeys } from "../native/group-store";
import { getThreads } from "../native/threads";
import type { NativeGroupStore } from "../native/types/group-store";
import { libraryVersions } from "../native/versions";
import { expected, isRecord, requireOptions } from "../util/check";
import { type GroupPlace, groupPlace } from "./environment";
import { beatKey, Group, prefixOf, rankKey } from "./group";
import { joinedRank, setJoinedRank } from "./own-rank";
import { decodeValue, foreignValue } from "./values";

/** Options of {@link joinGroup}. What is left out comes from the environment, or has a default. */
export interface JoinGroupOptions {
  /** The name or address of rank 0's machine; default `MASTER_ADDR`. */
  address?: string;
  /** The port of the store, 1 to 65535; default `MASTER_PORT`. */
  port?: number;
  /** This process's number, from 0; default `RANK`. */
  rank?: number;
  /** How many processes there are; default `WORLD_SIZE`. */
  worldSize?: number;
  /**
   * Where rank 0 listens: an address or a network interface of its machine, such as `eth0`, or `0.0.0.0` for all.
   * Default `TORCHSEARCH_INTERFACE`, else the address that `address` is on that machine. Whoever reaches the port can
   * read and change the search: let it be a network of your own.
   */
  interface?: string;
  /** Seconds without a sign of life after which a rank's work is given to another one; default 30. */
  lease?: number;
  /** Seconds that the ranks have to come, and that the store has to answer; default 300. */
  timeout?: number;
  /** Stops joining with `ERR_ABORTED`. */
  signal?: AbortSignal | null;
}

const DEFAULT_LEASE = 30;
const DEFAULT_TIMEOUT = 300;
/** Signs of life in a lease. */
const BEATS = 5;

/** What has to be alike on all ranks, for their scores to be. */
interface Facts {
  worldSize: number;
  torchsearch: string;
  libtorch: string;
  platform: string;
  cpuCapability: string;
  threads: number;
}

const TITLES: Readonly<Record<keyof Facts, string>> = {
  worldSize: "the number of ranks",
  torchsearch: "the version of torchsearch",
  libtorch: "the version of LibTorch",
  platform: "the platform",
  cpuCapability: "the processor's instructions",
  threads: "the number of threads",
};

/**
 * Makes this process one of the group that searches together: the one that torchrun, Slurm, `torchsearch launch` or
 * anything else that sets `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` has started; or the one that the options
 * describe. It returns when all ranks have come, on like machines with like versions.
 *
 * The processes share keys and values in a store of PyTorch's (c10d's `TCPStore`): in torchrun's agent, else in rank 0.
 * Nobody is asked for a password, so the port must be reachable by the ranks' machines only.
 *
 * @throws `ERR_GROUP_ENV` when the place in the group is not known, or this process is in one already;
 *   `ERR_GROUP_CONNECT` when the store is not reached, its port is taken, or a rank doesn't come; `ERR_GROUP_MISMATCH`
 *   when ranks differ in what decides a score; `ERR_GROUP_PEER_LOST`; `ERR_ARGUMENT`; `ERR_ABORTED`
 *
 * @example
 * ```ts
 * const group = await joinGroup({ address: "127.0.0.1", port: 29400, rank: 0, worldSize: 1 });
 * console.log(`${group.rank + 1} of ${group.worldSize}`);
 * await group.leave();
 * ```
 */
export async function joinGroup(options: JoinGroupOptions = {}): Promise<Group> {
  requireOptions(options, "joinGroup");
  const { lease, timeout } = requireTimes(options);
  const { signal = null, address, port, rank, worldSize } = options;
  for (const [name, value] of Object.entries({ address, interface: options.interface }))
    if (value !== undefined && (typeof value !== "string" || value === ""))
      throw expected("ERR_ARGUMENT", "a name or an address", name, value);
  const place = groupPlace({ address, port, rank, worldSize }, process.env);
  if (joinedRank() !== null) {
    throw new TorchSearchError(
      "ERR_GROUP_ENV",
      "This process is in a group already: leave() that one first, or share it.",
    );
  }
  setJoinedRank(place.rank);
  let group: Group | null = null;
  try {
    if (place.worldSize === 1)
      return new Group({ ...place, lease, store: null, connection: null, serves: false });
    const serves = place.rank === 0 && !place.agentHasStore;
    const where = serves ? listenOn(options.interface ?? process.env.TORCHSEARCH_INTERFACE ?? "") : "";
    const connection = {
      host: place.address,
      port: place.port,
      serve: serves,
      listenOn: where,
      timeout: Math.round(1000 * timeout),
    };
    const { store } = await joinStore(connection, signal);
    const again = { ...connection, serve: false, host: where === "" ? place.address : where };
    group = new Group({ ...place, lease, store, connection: again, serves });
    await introduce(store, place, { lease, timeout, signal });
    return group;
  } catch (error) {
    setJoinedRank(null);
    await group?.leave();
    throw error;
  }
}

function requireTimes({ lease = DEFAULT_LEASE, timeout = DEFAULT_TIMEOUT }: JoinGroupOptions): {
  lease: number;
  timeout: number;
} {
  for (const [name, value] of Object.entries({ lease, timeout }))
    if (typeof value !== "number" || !(value >= 0.1) || !(value <= 1e6))
      throw expected("ERR_ARGUMENT", "a number of seconds of at least 0.1", name, value);
  return { lease, timeout };
}

/** The address of a network interface; anything else is an address already. */
function listenOn(name: string): string {
  const addresses = os.networkInterfaces()[name];
  if (addresses === undefined) return name;
  return (addresses.find(({ family }) => family === "IPv4") ?? addresses[0])?.address ?? name;
}

function ownFacts(worldSize: number): Facts {
  return {
    worldSize,
    ...libraryVersions(),
    platform: `${process.platform}-${process.arch}`,
    cpuCapability: cpuCapability(),
    threads: getThreads(),
  };
}

/** Tells the others of this process, waits for all of them, and compares. */
async function introduce(
  store: NativeGroupStore,
  { rank, worldSize, restarts }: GroupPlace,
  { lease, timeout, signal }: { lease: number; timeout: number; signal: AbortSignal | null },
): Promise<void> {
  const prefix = prefixOf(restarts);
  const key = (each: number): string => rankKey(prefix, each);
  const own = JSON.stringify({ id: randomUUID(), facts: ownFacts(worldSize) });
  if ((await store.compareSet(key(rank), "", own)) !== own) {
    throw new TorchSearchError(
      "ERR_GROUP_ENV",
      `Another process is rank ${rank} of this group already: give each process a RANK of its own, and end processes of an ` +
        "earlier run.",
    );
  }
  await store.beat(beatKey(prefix, rank), Math.round((1000 * lease) / BEATS));
  const ranks = Array.from({ length: worldSize }, (_, each) => each);
  await waitForKeys(store, ranks.map(key), Math.round(1000 * timeout), signal);
  const found = await store.get(ranks.map(key));
  const facts = found.map((text) => (text === null ? null : factsOf(text)));
  // A difference first: a rank that expects another number of ranks need not come.
  requireAlike(facts);
  const missing = ranks.filter((each) => facts[each] === null);
  if (missing.length > 0) {
    throw new TorchSearchError(
      "ERR_GROUP_CONNECT",
      `${missing.length === 1 ? "Rank" : "Ranks"} ${missing.join(", ")} of ${worldSize} did not come within ${timeout} s: ` +
        "look at what they print, start all ranks, or give a longer timeout.",
    );
  }
}

function factsOf(text: string): Facts {
  const { facts } = decodeValue<{ facts: Facts }>(text, "facts");
  if (!isRecord(facts)) throw foreignValue(text);
  return facts;
}

function requireAlike(facts: readonly (Facts | null)[]): void {
  const first = facts.findIndex((each) => each !== null);
  const expectedFacts = facts[first];
  if (!expectedFacts) return;
  for (const [rank, own] of facts.entries()) {
    if (own === null) continue;
    const differing = (Object.keys(TITLES) as (keyof Facts)[]).filter(
      (name) => own[name] !== expectedFacts[name],
    );
    if (differing.length === 0) continue;
    const list = differing.map(
      (name) => `${TITLES[name]} (${expectedFacts[name]} on rank ${first}, ${own[name]} on rank ${rank})`,
    );
    throw new TorchSearchError(
      "ERR_GROUP_MISMATCH",
      `Ranks differ in ${list.join(", ")}, so they would not get the same scores: make them alike.` +
        (differing.includes("threads") ? " OMP_NUM_THREADS sets the threads." : ""),
    );
  }
}
