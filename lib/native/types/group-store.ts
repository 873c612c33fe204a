import type { NativeCall } from "./call";

/** Where a group's store is, and whether this process has it. */
export interface NativeStoreOptions {
  /** The name or address that ranks connect to. */
  host: string;
  port: number;
  /** Whether the store is in this process. */
  serve: boolean;
  /** The one address that it listens on; empty for `host`. */
  listenOn: string;
  /** Milliseconds, for joining, and for the answer to every later call. */
  timeout: number;
}

/**
 * Keys and values that processes share. One call runs at a time, in the order of the calls, on a thread of its own.
 * All reject with `ERR_GROUP_PEER_LOST` when the store is lost.
 */
export interface NativeGroupStore {
  /** @returns the store's port @throws `ERR_GROUP_CONNECT`, `ERR_GROUP_ENV`, `ERR_ABORTED` */
  join(options: NativeStoreOptions, call: NativeCall): Promise<number>;
  /** Adds to a number, which is 0 at first; gives the sum. */
  add(key: string, delta: number): Promise<number>;
  set(key: string, value: string): Promise<void>;
  /** Sets a value that is `expected`, or missing while `expected` is empty; gives what is there afterwards. */
  compareSet(key: string, expected: string, desired: string): Promise<string>;
  /** A missing key's value is null. */
  get(keys: readonly string[]): Promise<(string | null)[]>;
  /** Whether all keys are there, at the latest after so many milliseconds, or when the call is cancelled. */
  wait(keys: readonly string[], milliseconds: number, call: NativeCall): Promise<boolean>;
  /** From now on adds 1 to a number every so many milliseconds, on a thread and a connection of its own. */
  beat(key: string, milliseconds: number): Promise<void>;
  close(): Promise<void>;
}

/** Exported by native/binding/group_store.cpp. */
export interface GroupStoreExports {
  GroupStore: new () => NativeGroupStore;
}
